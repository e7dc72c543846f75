"""Fixtures: a Redis server for each test that may kill it, and a connection to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from assay.redis import Redis
from tests.redis_server import RedisServer, redis_server


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    """A connection that answers."""
    connection = Redis(server.url)
    await asyncio.wait_for(connection.ready(), 30)
    yield connection
    await connection.close()
