"""Servers on one database count wrong keys together; without Redis each counts what comes to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from assay.redis import Redis
from assay.server.access.shared_bans import SharedBans
from tests.evalhub.live import until
from tests.postgres import Cluster
from tests.redis_server import RedisServer, redis_server
from tests.server.access.keyed import keyed_server
from tests.server.access.test_gate import OURSELVES, WRONG, from_
from tests.server.client import JOBS
from tests.server.serving import serving


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


class Fleet:
    """Servers that count wrong keys; three of them ban."""

    def __init__(self, redis: Redis, *identities: str) -> None:
        self.redis = redis
        self.servers = [SharedBans(redis, identity, 3, 60, 600) for identity in identities]
        self._markers = (f"marker {number}" for number in count())

    async def told(self) -> None:
        """Wait until the first two, which are of one database, have heard what the other has told so far."""
        here, there, *_ = self.servers
        for one, other in ((here, there), (there, here)):
            marker = next(self._markers)
            while not other.left(marker):
                one.failed(marker)
                await asyncio.sleep(0.01)


@pytest.fixture
async def fleet(redis: Redis) -> AsyncIterator[Fleet]:
    made = Fleet(redis, "db", "db", "another")
    await made.told()
    yield made
    for server in made.servers:
        await server.close()


async def test_wrong_keys_at_all_servers_add_up_and_ban_at_all(fleet: Fleet) -> None:
    here, there, elsewhere = fleet.servers
    for one in (here, there):
        assert one.failed("a") == 0
    await fleet.told()
    assert here.failed("a") == 60
    await fleet.told()
    assert all(55 < one.left("a") <= 60 for one in (here, there))
    assert elsewhere.left("a") == here.left("b") == there.left("b") == 0


async def test_each_ban_counts_once_however_many_servers_hear_of_it(fleet: Fleet) -> None:
    here, there, _ = fleet.servers
    for number in range(6):
        length = (here, there)[number % 2].failed("a")
        await fleet.told()
        assert length == {2: 60, 5: 120}.get(number, 0)


async def test_who_missed_the_first_wrong_keys_hears_of_the_ban(fleet: Fleet) -> None:
    here, there, _ = fleet.servers
    super(SharedBans, here).failed("a")
    super(SharedBans, here).failed("a")
    assert here.failed("a") == 60
    await fleet.told()
    assert 55 < there.left("a") <= 60


async def test_nonsense_on_the_channel_changes_nothing(fleet: Fleet) -> None:
    here, there, _ = fleet.servers
    for nonsense in ("", "x", "[]", '["s", 1, 2]', '["s", "a", "long"]', "{}", b"\xff"):
        await fleet.redis.publish("assay:db:bans", nonsense)
    await fleet.told()
    assert (here.left("a"), there.left("a")) == (0, 0)


async def test_without_redis_each_server_counts_what_comes_to_it(fleet: Fleet, server: RedisServer) -> None:
    here, there, _ = fleet.servers
    server.kill()
    assert [here.failed("a") for _ in range(3)] == [0, 0, 60]
    assert there.left("a") == 0
    assert [there.failed("a") for _ in range(3)] == [0, 0, 60]
    server.start()
    await fleet.told()
    assert here.left("a") > 0


def test_who_is_banned_at_one_running_server_is_banned_at_the_other(
    server: RedisServer, postgres: Cluster, tmp_path: Path
) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    with postgres.database() as url, ExitStack() as stack:
        settings = {"ASSAY_DATABASE": url, "ASSAY_REDIS": server.url, "ASSAY_BAN_AFTER": "3", **OURSELVES}
        keyed = stack.enter_context(keyed_server(tmp_path / "a", **settings))
        other = stack.enter_context(serving(tmp_path / "b", **settings))
        for one in (keyed.served, other):
            until(lambda one=one: "Redis answers" in one.log.read_text(), "Redis")  # type: ignore[misc]
        there = other.api.as_(**keyed.admin.headers)
        banned: list[str] = []

        def banned_there() -> bool:
            """Have one more address banned here: the other server may not have heard of those before."""
            banned.append(f"203.0.113.{len(banned)}")
            guest = from_(keyed.api.as_(authorization=WRONG), banned[-1])
            assert [guest.get(JOBS).code for _ in range(4)] == [*["invalid_key"] * 3, "address_banned"]
            return any(from_(there, address).get(JOBS).code == "address_banned" for address in banned)

        until(banned_there, "the ban at the other server")
        assert from_(there, "198.51.100.1").get(JOBS).status == 200
