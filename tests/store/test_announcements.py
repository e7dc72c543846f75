"""Servers on one database wake one another: by NOTIFY, through Redis, or both; and a lost message costs a wait, no more."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import asyncpg
import pytest

from assay.redis import Redis
from assay.store.base import QUEUE, job_topic
from assay.store.postgres import PostgresStore
from assay.store.postgres.address import Address
from assay.store.postgres.announcements import Announcements
from assay.store.signals import LocalSignals
from tests.pgbouncer import transaction_pooler
from tests.postgres import Cluster
from tests.redis_server import RedisServer, redis_server

from .life import Life
from .test_postgres_servers import _Random, heard


@pytest.fixture(scope="module")
def redis_at() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
async def redises(redis_at: RedisServer) -> AsyncIterator[list[Redis]]:
    """The connections of two servers to one Redis."""
    redis_at.start()
    connections = [Redis(redis_at.url) for _ in range(2)]
    for connection in connections:
        await asyncio.wait_for(connection.ready(), 60)
    yield connections
    for connection in connections:
        await connection.close()


async def pair(urls: list[str], redises: list[Redis | None]) -> tuple[Life, Life]:
    lives = [Life(await PostgresStore.open(url, redis)) for url, redis in zip(urls, redises, strict=True)]
    for life in lives:
        life.new_id = _Random()  # type: ignore[assignment]
    return lives[0], lives[1]


async def closed(*lives: Life) -> None:
    for life in lives:
        await life.store.close()


@pytest.fixture
def pooled(database: str, postgres: Cluster) -> Iterator[str]:
    """The URL of an empty database behind a pooler that knows no LISTEN.

    Without TLS: whoever asks a pooler for that while he is being closed leaves a future of asyncpg's behind.
    """
    with transaction_pooler(postgres) as port:
        yield database.replace(f":{postgres.port}/", f":{port}/") + "?pgbouncer=true&sslmode=disable"


async def test_a_database_has_one_name_however_it_is_reached(
    database: str, pooled: str, redises: list[Redis], postgres: Cluster
) -> None:
    here, there = await pair([database, pooled], [*redises])
    with postgres.database() as other:
        third = await PostgresStore.open(other)
        await third.close()
    await closed(here, there)
    assert here.store.identity == there.store.identity != third.identity


async def test_servers_behind_a_pooler_hear_one_another_through_redis(pooled: str, redises: list[Redis]) -> None:
    here, there = await pair([pooled] * 2, [*redises])
    await heard(here, there)
    queued = there.store.signals.ticket([QUEUE])
    job = await here.submit()
    assert await queued.wait(30)
    told = here.store.signals.ticket([job_topic(job.id)])
    await there.cancel(job)
    assert await told.wait(30)
    await closed(here, there)


async def test_servers_behind_a_pooler_work_without_redis_and_say_what_that_means(
    pooled: str, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = await pair([pooled] * 2, [None, None])
    jobs = await asyncio.gather(*((here, there)[n % 2].submit(3) for n in range(40)))
    await asyncio.gather(*((there, here)[n % 2].cancel(job) for n, job in enumerate(jobs)))
    for job in jobs:
        assert [run.status for run in await here.runs(job)] == ["cancelled"] * 3
    await here.check_counters()
    await closed(here, there)
    assert "servers do not hear one another through a pooler without Redis" in caplog.text


class Ear(LocalSignals):
    """Wake-ups of a server that remembers what for."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def announce(self, topics: Iterable[str]) -> None:
        listed = list(topics)
        self.heard += listed
        super().announce(listed)

    async def hears(self, topic: str, within_s: float = 30) -> bool:
        ticket = self.ticket([topic])
        return topic in self.heard or await ticket.wait(within_s)


class Server:
    """As much of a server as announces; `connection` is one to its database."""

    def __init__(self, url: str, redis: Redis, connection: Any) -> None:
        self.ear, self._connection = Ear(), connection
        self._announcements = Announcements(Address.of(url), self.ear, "test", redis)
        self.close = self._announcements.close

    async def say(self, topic: str, *, notify: bool = True, redis: bool = True) -> None:
        """Announce a topic by one route or both."""
        messages = self._announcements.messages({topic})
        if notify:
            await self._announcements.send(self._connection, messages)
        if redis:
            self._announcements.announce({topic}, messages)


@pytest.fixture
async def servers(database: str, redises: list[Redis]) -> AsyncIterator[tuple[Server, Server]]:
    """Two that hear each other by both routes."""
    connection = await asyncpg.connect(database)
    here, there = [Server(database, redis, connection) for redis in redises]
    await meet(here, there)
    yield here, there
    for server in (here, there):
        await server.close()
    await connection.close()


async def meet(*servers: Server) -> None:
    """Wait until each server hears the other by both routes."""
    for speaker, listener in (servers, reversed(servers)):
        for route in ("notify", "redis"):
            topics = (f"{route} {n}" for n in itertools.count())
            while True:
                topic = next(topics)
                await speaker.say(topic, notify=route == "notify", redis=route == "redis")
                if await listener.ear.hears(topic, 0.2):
                    break


async def test_what_comes_by_both_routes_is_heard_once(servers: tuple[Server, Server]) -> None:
    here, there = servers
    for n in range(50):
        await here.say(f"both {n}")
    # Each route keeps the order, so behind its last message nothing is left on it.
    await here.say("last of one", redis=False)
    await here.say("last of the other", notify=False)
    assert await there.ear.hears("last of one")
    assert await there.ear.hears("last of the other")
    for n in range(50):
        assert there.ear.heard.count(f"both {n}") == 1


async def test_each_server_hears_its_own_announcements_once(servers: tuple[Server, Server]) -> None:
    here = servers[0]
    await here.say("mine")
    for speaker, listener in (servers, reversed(servers)):
        await speaker.say(f"{id(speaker)} one", redis=False)
        await speaker.say(f"{id(speaker)} other", notify=False)
        assert await listener.ear.hears(f"{id(speaker)} one")
        assert await listener.ear.hears(f"{id(speaker)} other")
    assert here.ear.heard.count("mine") == 1


@pytest.mark.parametrize("end", ["kill", "FLUSHALL", "CLIENT KILL TYPE pubsub", "CLIENT KILL TYPE normal"])
async def test_one_route_is_enough_while_the_other_is_gone(
    servers: tuple[Server, Server], redis_at: RedisServer, end: str
) -> None:
    here, there = servers
    if end == "kill":
        redis_at.kill()
    else:
        redis_at.ask(*end.split())
    for n in range(20):
        await here.say(f"told {n}")
        assert await there.ear.hears(f"told {n}")
    redis_at.start()
    await meet(here, there)


async def test_whoever_waits_is_woken_when_redis_is_back(pooled: str, redises: list[Redis], redis_at: RedisServer) -> None:
    here, there = await pair([pooled] * 2, [*redises])
    await heard(here, there)
    ticket = there.store.signals.ticket(["whatever was said meanwhile"])
    redis_at.kill()
    job = await here.submit()
    redis_at.start()
    assert await ticket.wait(60)
    assert (await there.job(job)).id == job.id
    await heard(here, there)
    await closed(here, there)


@pytest.mark.parametrize("message", [b"", b"no json", b"[]", b"{}", b"[1, 2]", b'["a.1", 7, null]', b"\xff", b'"text"'])
async def test_what_no_server_said_is_let_pass(
    servers: tuple[Server, Server], redis_at: RedisServer, message: bytes
) -> None:
    here, there = servers
    redis_at.ask("PUBLISH", "assay:test:changes", message.decode("latin-1"))
    await here.say("still heard", notify=False)
    assert await there.ear.hears("still heard")
