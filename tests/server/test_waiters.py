"""Whoever waits for something to happen leaves nothing behind, however the waiting ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from assay.artifacts.log_folders import LogFolders
from assay.config import load
from assay.model.errors import StoreUnavailable
from assay.server.documents import Documents, Pages
from assay.server.evalhub import jobs, logs
from assay.server.logs import LogFiles
from assay.server.respond import Streamed
from assay.server.services import Caller
from assay.store.signals import LocalSignals
from assay.store.sqlite import SqliteStore
from tests.store.life import Life


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    made = SqliteStore.temporary()
    yield made
    await made.close()


def waited_for(signals: LocalSignals) -> list[str]:
    """Topics that anybody still waits for."""
    return list(signals._waiting)


def request(at: Any, query: str = "", headers: tuple[tuple[bytes, bytes], ...] = (), **parameters: str) -> Request:
    scope = {
        "type": "http",
        "asgi": {"spec_version": "2.3"},
        "path": "/",
        "query_string": query.encode(),
        "headers": headers,
        "path_params": parameters,
        "assay.services": at,
        "assay.caller": Caller("", "", frozenset()),
    }
    return Request(scope)


async def test_a_log_follower_that_hangs_up_waits_no_more(store: SqliteStore, tmp_path: Path) -> None:
    job = await Life(store).submit()
    files = LogFiles(LogFolders(tmp_path), 1000)
    files.append(job.id, 0, 1, 0, b"1700000000000 one\n")
    at = SimpleNamespace(store=store, logs=files, settings=load({}, {}))
    asked = request(at, "follow=true", job_id=job.id, benchmark_index="0")
    answer = await logs.of_benchmark(asked)

    hung_up = asyncio.Event()

    async def send(message: MutableMapping[str, Any]) -> None:
        if message.get("body") == b"one\n":
            hung_up.set()
            await asyncio.Event().wait()

    async def receive() -> MutableMapping[str, Any]:
        await hung_up.wait()
        return {"type": "http.disconnect"}

    await answer(asked.scope, receive, send)
    del answer
    gc.collect()  # what was left in the middle hangs together with the cancellation
    async with asyncio.timeout(10):
        while waited_for(store.signals):
            await asyncio.sleep(0)


async def test_a_long_poll_that_fails_waits_no_more() -> None:
    class Away:
        writes_alone = False
        signals = LocalSignals()

        async def lookup(self, _: object) -> object:
            raise StoreUnavailable(error="it is away", remedy="wait")

    at = SimpleNamespace(store=Away(), pages=Pages(), documents=Documents())
    headers = ((b"if-none-match", b'"1"'), (b"prefer", b"wait=20"))
    with pytest.raises(StoreUnavailable):
        await jobs.get(request(at, headers=headers, job_id="j"))
    assert waited_for(Away.signals) == []


async def test_the_source_of_an_answer_whose_reader_hangs_up_is_cancelled_once_and_may_end_in_order() -> None:
    gone, begun, cancelled, steps = asyncio.Event(), asyncio.Event(), 0, 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal cancelled, steps
        begun.set()
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            while steps < 5:
                try:
                    await asyncio.sleep(0)
                except asyncio.CancelledError:
                    cancelled += 1
                steps += 1

    async def receive() -> MutableMapping[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_: MutableMapping[str, Any]) -> None:
        await asyncio.sleep(0)

    answering = asyncio.create_task(Streamed(pieces())({"type": "http"}, receive, send))
    await begun.wait()
    gone.set()
    await answering
    assert (steps, cancelled) == (5, 0)


async def test_an_answer_whose_source_fails_fails() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        raise StoreUnavailable(error="it is away", remedy="wait")

    sent: list[Any] = []

    async def receive() -> MutableMapping[str, Any]:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message.get("body"))

    with pytest.raises(StoreUnavailable):
        await Streamed(pieces())({"type": "http"}, receive, send)
    assert sent == [None, b"first"]
