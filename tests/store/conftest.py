"""A store of every dialect, and a life in it.

A test that takes `store` (or `life`) says what every store does; it runs once for each dialect in `DIALECTS`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import asyncpg
import pytest

from assay.store.base import Store
from assay.store.postgres import PostgresStore
from assay.store.sqlite import SqliteStore

from .life import Life

DATABASE = os.environ.get("ASSAY_TEST_DATABASE", "")
"""URL of an empty PostgreSQL database that the tests may do with as they like."""
DIALECTS = ["sqlite", *(["postgres"] if DATABASE else [])]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


async def open_store(dialect: str) -> Store:
    """Return an empty store of a dialect."""
    if dialect == "sqlite":
        return SqliteStore.temporary()
    connection = await asyncpg.connect(DATABASE)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    return await PostgresStore.open(DATABASE)


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
