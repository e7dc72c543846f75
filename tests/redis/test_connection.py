"""The connection to Redis: an answer or None, soon, whatever becomes of Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis as Client

from assay import eventloop
from assay.model.errors import SettingInvalid
from assay.redis import Redis
from tests.redis_server import PASSWORD, RedisServer


async def ping(redis: Redis) -> bool | None:
    return await redis.ask(lambda client: client.ping())


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_a_message_reaches_whoever_listens(redis: Redis) -> None:
    assert await redis.publish("assay:test", "hello") is True
    assert redis.connected
    assert redis.errors == 0


async def test_a_server_that_is_not_there_yet_is_told_once_and_used_when_it_comes(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    caplog.set_level(logging.INFO)
    redis = Redis(server.url)
    assert await redis.publish("c", "lost") is False
    await until(lambda: asyncio.sleep(0, redis.errors >= 3))
    server.start()
    await asyncio.wait_for(redis.ready(), 60)
    assert await redis.publish("c", "heard") is True
    await redis.close()
    assert [record.levelname for record in caplog.records if record.name.startswith("assay")] == ["WARNING", "INFO"]
    assert PASSWORD not in caplog.text


def test_a_connection_that_breaks_just_before_it_is_written_to_is_lost_like_any_other(server: RedisServer) -> None:
    async def break_and_ask(client: Client) -> object:
        pubsub = client.pubsub()
        await pubsub.subscribe("c")
        connection: Any = pubsub.connection
        connection._writer.transport.abort()
        return await pubsub.ping()

    async def main() -> tuple[object, int]:
        redis = Redis(server.url)
        await redis.ready()
        answer = await redis.ask(break_and_ask)
        await redis.close()
        return answer, redis.errors

    assert eventloop.run(main()) == (None, 1)  # on the loop that the server has: asyncio's own says nothing


async def test_each_outage_and_each_recovery_is_one_line(
    redis: Redis, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(2):
        server.kill()
        assert set(await asyncio.gather(*(redis.publish("c", "x") for _ in range(50)))) == {False}
        assert not redis.connected
        server.start()
        await asyncio.wait_for(redis.ready(), 60)
    told = [record.getMessage() for record in caplog.records if record.name.startswith("assay")]
    assert ["is away" in line for line in told] == [True, False, True, False]
    assert ["is back" in line for line in told] == [False, True, False, True]


async def not_asked(redis: Redis) -> bool:
    """Say whether a call returns without a word to Redis."""
    asked = False

    async def call(_client: object) -> bool:
        nonlocal asked
        asked = True
        return True

    return await redis.ask(call) is None and not asked


async def test_an_outage_is_found_out_though_nobody_calls(
    redis: Redis, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.redis.connection._QUIET_S", 0.05)
    server.kill()
    await until(lambda: asyncio.sleep(0, not redis.connected))
    server.start()
    await asyncio.wait_for(redis.ready(), 60)


async def test_a_dead_redis_is_not_asked(redis: Redis, server: RedisServer) -> None:
    server.kill()
    await redis.publish("c", "x")
    assert await not_asked(redis)


async def test_a_frozen_redis_costs_its_patience_once(redis: Redis, server: RedisServer) -> None:
    server.freeze()
    try:
        assert await asyncio.gather(*(ping(redis) for _ in range(100))) == [None] * 100
        assert await not_asked(redis)
    finally:
        server.thaw()
    await asyncio.wait_for(redis.ready(), 60)
    assert await ping(redis) is True


async def test_whoever_is_cancelled_leaves_the_connection_usable(redis: Redis) -> None:
    for _ in range(50):
        asking = asyncio.create_task(ping(redis))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
    assert await redis.ask(lambda client: client.echo("mine")) == b"mine"
    assert redis.connected


async def test_more_callers_than_connections_are_all_answered(redis: Redis) -> None:
    answers = await asyncio.gather(*(redis.ask(lambda client, n=n: client.echo(str(n))) for n in range(500)))  # type: ignore[misc]
    assert answers == [str(n).encode() for n in range(500)]


async def test_a_refused_command_is_no_outage_and_is_told_once(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        assert await redis.ask(lambda client: client.execute_command("NO-SUCH", "secret")) is None  # type: ignore[no-untyped-call]
    assert redis.connected
    assert redis.errors == 5
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("assay")]
    assert "refuses a command" in line
    assert "secret" not in line


async def test_a_wrong_password_is_told_in_words(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    redis = Redis(server.url.replace(PASSWORD, "wrong-password"))
    await until(lambda: asyncio.sleep(0, redis.errors))
    await redis.close()
    assert "it refuses the login; check the user and password" in caplog.text
    assert "wrong-password" not in caplog.text


@pytest.mark.parametrize("url", ["redis://h:1/?no_such_option=1", "redis://h/?db=x", "rediss://h/?ssl_cert_reqs=maybe"])
async def test_a_url_that_makes_no_sense_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(SettingInvalid, match=r"redis \(environment ASSAY_REDIS\): it is no URL of a Redis server"):
        Redis(url, "environment ASSAY_REDIS")


async def test_a_closed_connection_answers_at_once(redis: Redis) -> None:
    await redis.close()
    assert await redis.publish("c", "x") is False
