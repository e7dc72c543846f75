"""A store of every dialect, and a life in it.

A test that takes `store` (or `life`) says what every store does; it runs once for each dialect in `DIALECTS`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from assay.store.base import Store
from assay.store.sqlite import SqliteStore

from .life import Life

DIALECTS = ["sqlite"]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


async def open_store(dialect: str) -> Store:
    """Return an empty store of a dialect."""
    assert dialect == "sqlite"
    return SqliteStore.temporary()


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def store(dialect: str) -> AsyncIterator[Store]:
    opened = await open_store(dialect)
    yield opened
    await opened.close()


@pytest.fixture
async def life(store: Store) -> Life:
    return Life(store)
