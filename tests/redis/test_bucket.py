"""A shared bucket allows its burst and then its rate, however many take from it at once and whatever becomes of Redis."""

from __future__ import annotations

import asyncio
import json

import pytest

from assay.redis import Buckets, Drawn, Redis
from tests.redis_server import RedisServer

NEVER = 1e-6
"""Tokens per second, so few that none comes during a test."""


async def drawn(buckets: Buckets, per_second: float = NEVER, burst: int = 10, name: str = "caller") -> Drawn:
    taken = await buckets.take(name, per_second, burst)
    assert taken is not None
    return taken


async def test_a_burst_is_allowed_and_then_nothing_until_a_token_has_grown(redis: Redis) -> None:
    buckets = Buckets(redis, "assay:t:")
    taken = [await drawn(buckets) for _ in range(12)]
    assert [one.allowed for one in taken] == [True] * 10 + [False] * 2
    assert [int(one.tokens) for one in taken[:10]] == list(range(9, -1, -1))
    assert taken[-1].retry_s == pytest.approx(1e6, rel=0.01)
    assert [one.retry_s for one in taken[:10]] == [0.0] * 10


async def test_many_servers_at_once_take_no_more_than_there_is(server: RedisServer) -> None:
    servers = [Redis(server.url) for _ in range(4)]
    for one in servers:
        await asyncio.wait_for(one.ready(), 60)
    buckets = [Buckets(one, "assay:t:") for one in servers]
    taken = await asyncio.gather(*(drawn(buckets[n % 4], burst=100) for n in range(400)))
    assert sum(one.allowed for one in taken) == 100
    for one in servers:
        await one.close()


async def test_whoever_waits_as_long_as_it_is_told_gets_one(redis: Redis) -> None:
    buckets = Buckets(redis, "assay:t:")
    await drawn(buckets, 20.0, 1)
    while (refused := await drawn(buckets, 20.0, 1)).allowed:
        pass  # the machine was slow, and a token has grown meanwhile
    assert 0 < refused.retry_s <= 0.05
    await asyncio.sleep(refused.retry_s + 0.001)
    assert (await drawn(buckets, 20.0, 1)).allowed


async def test_names_and_prefixes_do_not_share_a_bucket(redis: Redis) -> None:
    one, other = Buckets(redis, "assay:a:"), Buckets(redis, "assay:b:")
    taken = [await drawn(buckets, burst=1, name=name) for buckets in (one, other) for name in ("x", "y: {z}")]
    assert all(one.allowed for one in taken)


async def test_a_full_bucket_is_kept_nowhere(redis: Redis, server: RedisServer) -> None:
    buckets = Buckets(redis, "assay:t:")
    await drawn(buckets, 1000.0, 5)
    while server.ask("DBSIZE") != "0":
        await asyncio.sleep(0.01)


async def test_a_smaller_burst_counts_at_once(redis: Redis) -> None:
    buckets = Buckets(redis, "assay:t:")
    await drawn(buckets, burst=1000)
    taken = [await drawn(buckets, burst=2) for _ in range(3)]
    assert [one.allowed for one in taken] == [True, True, False]


@pytest.mark.parametrize("lost", [["FLUSHALL"], ["SCRIPT", "FLUSH"], ["SET", "assay:t:caller", "no bucket"]])
async def test_what_redis_has_lost_begins_full_and_nothing_fails(redis: Redis, server: RedisServer, lost: list[str]) -> None:
    buckets = Buckets(redis, "assay:t:")
    await drawn(buckets, burst=2)
    server.ask(*lost)
    assert (await drawn(buckets, burst=2)).allowed
    assert redis.errors == 0


async def test_a_restart_is_survived_and_meanwhile_there_is_no_answer(redis: Redis, server: RedisServer) -> None:
    buckets = Buckets(redis, "assay:t:")
    await drawn(buckets)
    server.kill()
    assert await buckets.take("caller", NEVER, 10) is None
    server.start()
    await asyncio.wait_for(redis.ready(), 60)
    assert (await drawn(buckets)).tokens == 9


async def test_the_key_of_another_kind_is_no_error_for_the_caller(redis: Redis, server: RedisServer) -> None:
    server.ask("HSET", "assay:t:caller", "a", json.dumps({}))
    assert await Buckets(redis, "assay:t:").take("caller", NEVER, 10) is None
    assert redis.connected
