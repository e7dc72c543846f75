"""A store of every dialect, and a life in it.

A test that takes `store` (or `life`) says what every store does; it runs once for each dialect in `DIALECTS`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from assay.store.base import Store
from assay.store.postgres import PostgresStore
from assay.store.sqlite import SqliteStore
from tests.postgres import Cluster

from .life import Life

DIALECTS = ("sqlite", "postgres")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def empty_store(dialect: str, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """Open an empty store of a dialect; after the block nothing of it is left."""
    if dialect == "sqlite":
        in_memory = SqliteStore.temporary()
        yield in_memory
        await in_memory.close()
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    with cluster.database() as url:
        opened = await PostgresStore.open(url)
        yield opened
        await opened.close()


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def store(dialect: str, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with empty_store(dialect, request) as opened:
        yield opened


@pytest.fixture
async def life(store: Store) -> Life:
    return Life(store)
