"""A watcher that does not read costs others nothing, and is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from assay.model.errors import TooManyWatchers
from assay.model.results import Message, Report
from assay.model.states import Status
from assay.server.streams import Streams
from assay.server.streams.answer import LiveAnswer
from assay.server.streams.watcher import LIMIT
from assay.store.sqlite import SqliteStore
from tests.store.life import Life

RUNS = 2 * LIMIT // 1000
SCOPE = {"type": "http"}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def life() -> AsyncIterator[Life]:
    store = SqliteStore.temporary()
    yield Life(store)
    await store.close()


class Reader:
    """A connection. `reading` False: it takes the first pieces, then nothing."""

    def __init__(self, reading: bool) -> None:
        self.body = bytearray()
        self.pieces = 0
        self.whole = False
        self._reading = reading
        self.stuck = asyncio.Event()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            return
        self.pieces += 1
        if not self._reading and self.pieces > 2:
            self.stuck.set()
            await asyncio.Event().wait()
        self.body += message["body"]
        self.whole = not message["more_body"]

    async def receive(self) -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_reader_that_stopped_is_cut_off_while_others_are_told_everything(life: Life) -> None:
    job = await life.submit(RUNS)
    streams = Streams(life.store)
    quick, stuck = Reader(reading=True), Reader(reading=False)
    answers = []
    for reader in (quick, stuck):
        streams.enter()
        answer = LiveAnswer(streams, streams.of_job(job.id), 0)
        answers.append(asyncio.create_task(answer(SCOPE, reader.receive, reader.send)))
    message = Message("x" * 2000, "code")
    for index in range(RUNS):
        await life.report(job, Status.FAILED, index, report=Report(error_message=message))
        if index == 0:
            await stuck.stuck.wait()
    async with asyncio.timeout(60):
        await asyncio.gather(*answers)
    assert quick.body.count(b"event: run.failed") == RUNS
    assert quick.body.count(b"event: end") == 1
    assert quick.whole
    assert b"event: end" not in stuck.body
    assert not stuck.whole, "a body that was cut off must not look like one that has ended"
    assert streams.watchers == 0


async def test_no_more_watchers_are_admitted_than_the_limit_says(life: Life) -> None:
    job = await life.submit()
    streams = Streams(life.store, 1)
    reader = Reader(reading=True)
    streams.enter()
    answer = LiveAnswer(streams, streams.of_job(job.id), 0)
    watching = asyncio.create_task(answer(SCOPE, reader.receive, reader.send))
    with pytest.raises(TooManyWatchers):
        streams.enter()
    await life.cancel(job)
    await watching
    streams.enter()


async def test_an_unwatched_job_has_no_reader(life: Life) -> None:
    job = await life.submit()
    streams = Streams(life.store)
    before = asyncio.all_tasks()
    readers = [Reader(reading=True) for _ in range(5)]
    watching = []
    for reader in readers:
        streams.enter()
        answer = LiveAnswer(streams, streams.of_job(job.id), 0)
        watching.append(asyncio.create_task(answer(SCOPE, reader.receive, reader.send)))
    while not all(b"job.created" in reader.body for reader in readers):
        await asyncio.sleep(0)
    await life.report(job, Status.RUNNING)
    while not all(b"job.running" in reader.body for reader in readers):
        await asyncio.sleep(0)
    assert len([task for task in asyncio.all_tasks() if "JobReader" in repr(task.get_coro())]) == 1
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    while asyncio.all_tasks() - before:
        await asyncio.sleep(0)
