"""The rights that the documentation gives a Redis user are enough for everything that Assay does there."""

from __future__ import annotations

import asyncio
import re

from assay.redis import Buckets, Redis, Subscription
from tests.docs.pages import page
from tests.redis_server import PASSWORD, RedisServer


async def test_the_documented_user_may_do_all_that_is_done_and_nothing_elsewhere(server: RedisServer) -> None:
    (words,) = re.findall(r"`ACL SETUSER (assay on >PASSWORD .*?)`", page("operating.md"))
    server.ask("ACL", "SETUSER", *words.replace("PASSWORD", "its-own-password").split())
    redis = Redis(server.url.replace(f":{PASSWORD}@", "assay:its-own-password@"))
    await asyncio.wait_for(redis.ready(), 30)
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    subscription = Subscription(redis, "assay:test", heard.put_nowait, lambda: None)
    await asyncio.wait_for(subscription.listening.wait(), 30)
    assert await redis.publish("assay:test", "hello")
    assert await asyncio.wait_for(heard.get(), 30) == b"hello"
    assert await Buckets(redis, "assay:test:").take("caller", 1.0, 1)
    assert redis.errors == 0
    assert not await redis.publish("somebody-else", "hello")
    assert redis.connected
    await subscription.close()
    await redis.close()


async def test_a_socket_file_is_as_good_as_a_port(server: RedisServer) -> None:
    redis = Redis(f"unix://{server.socket}?password={PASSWORD}&db=1")
    await asyncio.wait_for(redis.ready(), 30)
    assert await redis.publish("assay:test", "hello")
    await redis.close()
