"""A channel is heard whatever happens to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from assay.redis import Redis, Subscription
from tests.redis_server import RedisServer

CHANNEL = "assay:test"


class Ear:
    """What a subscription has called."""

    def __init__(self, redis: Redis) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.again = asyncio.Semaphore(0)
        self.subscription = Subscription(redis, CHANNEL, self.heard.put_nowait, self.again.release)


@pytest.fixture
async def ear(redis: Redis) -> AsyncIterator[Ear]:
    made = Ear(redis)
    await asyncio.wait_for(made.again.acquire(), 30)
    yield made
    await made.subscription.close()


async def test_messages_are_heard_in_their_order(redis: Redis, ear: Ear) -> None:
    sent = [str(n).encode() for n in range(100)]
    for one in sent:
        assert await redis.publish(CHANNEL, one)
    assert [await asyncio.wait_for(ear.heard.get(), 30) for _ in sent] == sent


async def test_it_is_heard_again_after_a_restart_and_whoever_listens_is_told(
    redis: Redis, ear: Ear, server: RedisServer
) -> None:
    for _ in range(2):
        server.kill()
        await redis.publish(CHANNEL, "lost")
        server.start()
        await asyncio.wait_for(ear.again.acquire(), 60)
        assert await redis.publish(CHANNEL, "heard")
        assert await asyncio.wait_for(ear.heard.get(), 30) == b"heard"


async def test_a_connection_that_redis_cuts_is_made_again(redis: Redis, ear: Ear, server: RedisServer) -> None:
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    await asyncio.wait_for(ear.again.acquire(), 60)
    assert await redis.publish(CHANNEL, "heard")
    assert await asyncio.wait_for(ear.heard.get(), 30) == b"heard"
    assert redis.connected


async def test_a_silent_connection_is_found_out(
    redis: Redis, ear: Ear, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.redis.subscription._QUIET_S", 0.05)
    await redis.publish(CHANNEL, "wake")  # from its next wait on it asks soon
    assert await asyncio.wait_for(ear.heard.get(), 30) == b"wake"
    server.freeze()
    try:
        while ear.subscription.listening.is_set():
            await asyncio.sleep(0.01)
    finally:
        server.thaw()
    await asyncio.wait_for(ear.again.acquire(), 60)
    assert ear.subscription.listening.is_set()
