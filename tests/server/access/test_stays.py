"""Answers that go on end when whoever gets them may not have them any more."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest

from assay.model.access import BUILT_IN
from assay.model.errors import AddressBanned, InvalidKey, StoreUnavailable, Unauthorised
from assay.model.keys import ApiKey
from assay.scheduler.identifiers import now
from assay.server.access.bans import Bans
from assay.server.access.keyring import Keyring
from assay.server.access.stays import Stay, Stays
from assay.store.base import Operation
from assay.store.keys import CreateKey, RevokeKey
from assay.store.sqlite import SqliteStore
from tests.postgres import Cluster
from tests.server.access.keyed import KEYS, Keyed, keyed_server
from tests.server.access.test_gate import OURSELVES, WRONG, from_
from tests.server.acting import Worker, framed
from tests.server.client import JOBS, Api
from tests.server.serving import serving
from tests.server.watching import ALL, Watch, stream_of

T = TypeVar("T")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


class _Counting(Keyring):
    """A keyring that counts how often the store is asked, which may be away, or answer when `held` is set."""

    asked = 0
    away = False
    held: asyncio.Event | None = None

    async def problems(self, prefixes: Any) -> dict[str, str]:
        self.asked += 1
        if self.away:
            raise StoreUnavailable(error="away", remedy="wait")
        if self.held:
            await self.held.wait()
        return await super().problems(prefixes)


class House:
    """A store with keys, and those who stay."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.keyring = _Counting(store, BUILT_IN)
        self.bans = Bans(1, 60, 60)
        self.stays = Stays(self.keyring, self.bans, self.needed)
        self.tasks: list[asyncio.Task[Stay]] = []

    async def needed(self) -> bool:
        return await self.keyring.any()

    async def apply(self, operation: Operation[T]) -> T:
        return await self.store.apply(operation)

    async def key(self, prefix: str, expires_at: int | None = None) -> str:
        made = ApiKey(prefix, bytes(32), prefix, "", "u", ("viewer",), (), 1, "", expires_at)
        await self.apply(CreateKey(made, manages=True))
        return prefix

    async def guest(self, key: str, address: str = "a", *, stubborn: bool = False) -> asyncio.Task[Stay]:
        """Begin an answer that goes on; `stubborn`: it overlooks the first cancellation."""
        begun = asyncio.Event()

        async def answer() -> Stay:
            with self.stays.stay(key, address) as stay:
                begun.set()
                if stubborn:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.Event().wait()
                await asyncio.Event().wait()
            await asyncio.sleep(0)  # it goes on as if it had not been cancelled
            return stay

        self.tasks.append(asyncio.create_task(answer()))
        await begun.wait()
        return self.tasks[-1]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    store = SqliteStore.temporary()
    there = House(store)
    yield there
    for task in there.tasks:
        task.cancel()
    await store.close()


async def ended(task: asyncio.Task[Stay]) -> Any:
    """Return why an answer has ended."""
    async with asyncio.timeout(30):
        return (await task).error


async def test_only_those_whose_key_is_revoked_have_to_go(house: House) -> None:
    for prefix in ("one", "two"):
        await house.key(prefix)
    going, staying = await house.guest("one"), await house.guest("two")
    await house.stays.look()
    await house.apply(RevokeKey("one", "", 5))
    await house.stays.look()
    error = await ended(going)
    assert isinstance(error, InvalidKey)
    assert "one" in error.message
    assert "it was revoked" in error.message
    assert not staying.done()


async def test_a_key_whose_time_is_over_and_one_that_is_not_there_end_what_they_opened(house: House) -> None:
    over, later = await house.key("over", now() - 1), await house.key("later", now() + 10**12)
    expired, unknown, good = [await house.guest(key) for key in (over, "nobody", later)]
    await house.stays.look()
    assert "it has expired" in (await ended(expired)).message
    assert "it is not known" in (await ended(unknown)).message
    assert not good.done()


async def test_whose_address_is_banned_has_to_go_whatever_the_key(house: House) -> None:
    await house.key("good")
    here, there = await house.guest("good", "here"), await house.guest("good", "there")
    house.bans.failed("here")
    await house.stays.look()
    assert isinstance(await ended(here), AddressBanned)
    assert not there.done()


async def test_who_came_without_a_key_has_to_go_once_there_is_one(house: House) -> None:
    guest = await house.guest("")
    await house.stays.look()
    assert not guest.done()
    await house.key("first")
    house.keyring = _Counting(house.store, BUILT_IN)  # what the other has just found out holds for a moment
    await house.stays.look()
    assert isinstance(await ended(guest), Unauthorised)


async def test_however_many_there_are_the_store_is_asked_once(house: House) -> None:
    keys = [await house.key(f"key{n}") for n in range(20)]
    guests = [await house.guest(key) for key in keys * 3]
    await house.stays.look()
    assert house.keyring.asked == 1
    assert not [guest for guest in guests if guest.done()]


async def test_while_nobody_is_there_nobody_is_asked(house: House) -> None:
    guest = await house.guest(await house.key("one"))
    guest.cancel()
    with pytest.raises(asyncio.CancelledError):
        await guest
    await house.stays.look()
    assert house.keyring.asked == 0


async def test_who_leaves_while_the_store_is_asked_is_left_alone(house: House) -> None:
    house.keyring.held = asyncio.Event()
    left = asyncio.Event()

    async def answer() -> str:
        with house.stays.stay("nobody", "a"):
            await left.wait()
        await asyncio.sleep(0.05)
        return "done"

    answering = asyncio.create_task(answer())
    await asyncio.sleep(0)
    looking = asyncio.create_task(house.stays.look())
    while not house.keyring.asked:
        await asyncio.sleep(0)
    left.set()
    await asyncio.sleep(0)
    house.keyring.held.set()
    await looking
    assert await answering == "done"


async def test_an_answer_that_overlooks_its_end_is_ended_again(house: House) -> None:
    guest = await house.guest("nobody", stubborn=True)
    watching = asyncio.create_task(house.stays.watch(0.01))
    assert isinstance(await ended(guest), InvalidKey)
    watching.cancel()


async def test_a_store_that_is_away_ends_nothing_and_is_asked_again(house: House) -> None:
    house.keyring.away = True
    guest = await house.guest("nobody")
    watching = asyncio.create_task(house.stays.watch(0.01))
    while house.keyring.asked < 3:
        await asyncio.sleep(0.01)
    assert not guest.done()
    house.keyring.away = False
    assert isinstance(await ended(guest), InvalidKey)
    watching.cancel()


def _viewer(keyed: Keyed, **members: Any) -> tuple[str, Api]:
    made = keyed.make("viewer", **members)
    return made["id"], keyed.api.as_(authorization=f"Bearer {made['key']}")


@pytest.mark.parametrize("of_job", [False, True], ids=["of a tenant", "of a job"])
def test_a_stream_ends_without_an_end_when_its_key_is_revoked(keyed: Keyed, of_job: bool) -> None:
    key_id, viewer = _viewer(keyed)
    _, other = _viewer(keyed)
    path = stream_of(keyed.as_("user").submit()) if of_job else ALL
    with Watch(viewer, path) as watch, Watch(other, path) as stays:
        assert keyed.admin.delete(f"{KEYS}/{key_id}").status == 204
        assert [told.kind for told in watch] == ["job.created"] * of_job
        assert viewer.get(path).code == "invalid_key"
        keyed.as_("user").submit()
        assert stays.until("job.created")


def test_a_log_that_is_followed_ends_with_the_reason(keyed: Keyed) -> None:
    key_id, viewer = _viewer(keyed)
    held = Worker(keyed.api).take(keyed.as_("user"))
    assert held.append(0, framed("one")).status == 200
    lines = viewer.lines(f"{JOBS}/{held.job_id}/benchmarks/0/logs?follow=true")
    assert next(lines) == b"one\n"
    assert keyed.admin.delete(f"{KEYS}/{key_id}").status == 204
    rest = b"".join(lines).decode()
    assert f"[The API key {key_id} does not count here: it was revoked." in rest


def test_a_websocket_is_told_why_it_is_closed(keyed: Keyed) -> None:
    key_id, viewer = _viewer(keyed)

    async def watch() -> tuple[list[Any], int | None]:
        opened = aiohttp.ClientSession()
        async with opened as session, session.ws_connect(keyed.api.url + ALL, headers=viewer.headers) as socket:
            await asyncio.to_thread(keyed.admin.delete, f"{KEYS}/{key_id}")
            return [json.loads(message.data) async for message in socket], socket.close_code

    (refusal,), code = asyncio.run(watch())
    assert (refusal["message_code"], code) == ("invalid_key", 4401)


def test_a_stream_ends_when_its_address_is_banned(tmp_path: Path) -> None:
    with keyed_server(tmp_path, ASSAY_BAN_AFTER="1", **OURSELVES) as keyed:
        _, viewer = _viewer(keyed)
        with Watch(from_(viewer, "203.0.113.9"), ALL) as banned, Watch(from_(viewer, "203.0.113.10"), ALL) as other:
            assert from_(keyed.api.as_(authorization=WRONG), "203.0.113.9").get(JOBS).status == 401
            assert list(banned) == []
            user = keyed.as_("user")
            threading.Thread(target=user.submit).start()
            assert other.until("job.created")


@pytest.fixture
def two(postgres: Cluster, tmp_path: Path) -> Iterator[tuple[Keyed, Api]]:
    """A server that asks for keys, and another one on its database."""
    with postgres.database() as url, ExitStack() as stack:
        for name in "ab":
            (tmp_path / name).mkdir()
        first = stack.enter_context(keyed_server(tmp_path / "a", ASSAY_DATABASE=url))
        yield first, stack.enter_context(serving(tmp_path / "b", ASSAY_DATABASE=url)).api


def test_a_key_that_is_revoked_at_one_server_ends_streams_at_the_other(two: tuple[Keyed, Api]) -> None:
    keyed, there = two
    key_id, viewer = _viewer(keyed)
    with Watch(there.as_(**viewer.headers), ALL) as watch:
        assert keyed.admin.delete(f"{KEYS}/{key_id}").status == 204
        assert list(watch) == []
