"""Servers on one database count a caller together; without Redis each counts alone, and nobody is refused for that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from assay.config.rates import Rate
from assay.model.access import Cost
from assay.redis import Redis
from assay.server.access.shared_limits import SharedLimiter
from tests.evalhub.live import until
from tests.postgres import Cluster
from tests.redis_server import RedisServer, redis_server
from tests.server.client import JOBS
from tests.server.serving import serving

RATES = {Cost.READ: Rate(1e-6, 5)}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    connection = Redis(server.url)
    await asyncio.wait_for(connection.ready(), 30)
    yield connection
    await connection.close()


async def allowed(*limiters: SharedLimiter, times: int, cost: Cost = Cost.READ, caller: str = "a") -> list[bool]:
    taken = [await limiters[n % len(limiters)].take(caller, cost) for n in range(times)]
    return [one.allowed for one in taken if one is not None]


async def test_two_servers_take_from_one_bucket(redis: Redis) -> None:
    here, there = (SharedLimiter(redis, "db", RATES) for _ in range(2))
    assert await allowed(here, there, times=7) == [True] * 5 + [False] * 2
    assert await allowed(here, times=1, caller="b") == [True]
    refused = await there.take("a", Cost.READ)
    assert refused is not None
    assert (refused.remaining, refused.rate) == (0, RATES[Cost.READ])
    assert refused.retry_s > 0


async def test_servers_of_other_databases_have_their_own(redis: Redis) -> None:
    here, there = SharedLimiter(redis, "one", RATES), SharedLimiter(redis, "other", RATES)
    assert await allowed(here, times=5) == await allowed(there, times=5) == [True] * 5


async def test_a_class_without_a_rate_is_not_limited(redis: Redis) -> None:
    assert await SharedLimiter(redis, "db", RATES).take("a", Cost.SUBMIT) is None


async def test_without_redis_each_server_counts_alone(redis: Redis, server: RedisServer) -> None:
    here, there = (SharedLimiter(redis, "db", RATES) for _ in range(2))
    assert await allowed(here, times=6) == [True] * 5 + [False]
    server.kill()
    assert await allowed(here, times=6) == await allowed(there, times=6) == [True] * 5 + [False]
    server.start()
    await asyncio.wait_for(redis.ready(), 60)
    assert await allowed(here, there, times=6) == [True] * 5 + [False]  # what Redis has forgotten begins full


def test_two_running_servers_refuse_together(server: RedisServer, postgres: Cluster, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    with postgres.database() as url:
        settings = {"ASSAY_DATABASE": url, "ASSAY_REDIS": server.url, "ASSAY_RATE_LIMITS": "read=0.000001/6"}
        with serving(tmp_path / "a", worker=False, **settings) as a, serving(tmp_path / "b", worker=False, **settings) as b:
            for one in (a, b):
                until(lambda one=one: "Redis answers" in one.log.read_text(), "Redis")  # type: ignore[misc]
            codes = [one.api.get(f"{JOBS}/unknown").status for _ in range(4) for one in (a, b)]
            assert codes == [404] * 6 + [429] * 2
            server.kill()
            assert [one.api.get(f"{JOBS}/unknown").status for one in (a, b)] == [404] * 2
