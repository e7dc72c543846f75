"""How a worker ends: as soon as it may, whatever it hears at that moment, and with a word to the server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import pytest

from assay import eventloop
from assay.client.workers import Refused, ServerGone
from assay.model.protocol import (
    PROTOCOL,
    Heartbeat,
    HeartbeatAnswer,
    LeaseAnswer,
    LeaseRequest,
    Registered,
    Registration,
)
from assay.model.states import WorkerState
from assay.worker import program
from assay.worker.program import WorkerOptions, work

PATIENCE_S = 60.0

Answer = Callable[["Server"], Awaitable[LeaseAnswer]]


class Server:
    """What a worker hears: `leases` are the answers to its questions for runs, the last one again and again.

    A heartbeat is answered after so many `turns` of the event loop. The server is `away` for so many last heartbeats.
    """

    state = WorkerState.ACTIVE
    """Of the worker, as the server knows it."""

    def __init__(self, *leases: Answer, turns: int = 0, away: int = 0, unknown: bool = False) -> None:
        self._leases = list(leases)
        self._turns, self._away, self._unknown = turns, away, unknown
        self.registered: list[Registration] = []
        self.beats: list[Heartbeat] = []

    async def register(self, registration: Registration) -> Registered:
        self.registered.append(registration)
        return Registered(10.0, 5.0, PROTOCOL, self.state)

    async def lease(self, asked: LeaseRequest) -> LeaseAnswer:
        return await (self._leases.pop(0) if len(self._leases) > 1 else self._leases[0])(self)

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatAnswer:
        if beat.ends and self._away:
            self._away -= 1
            raise ServerGone
        if beat.ends and self._unknown:
            raise Refused(409, "unknown_worker", "")
        self.beats.append(beat)
        for _ in range(self._turns):
            await asyncio.sleep(0)
        return HeartbeatAnswer([], self.state)


class _Api:
    """The client of a worker, at a server of the test."""

    server: ClassVar[Server]

    def __init__(self, server: str, key: str, name: str) -> None:
        pass

    async def __aenter__(self) -> Server:
        return self.server

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


@pytest.fixture
def work_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Server], None]:
    """Run a worker to its end; fail if there is none."""
    monkeypatch.setattr(program, "WorkerApi", _Api)
    monkeypatch.setattr(eventloop, "run", lambda main: asyncio.run(patiently(main)))
    options = WorkerOptions(
        server="http://server.example",
        name="w",
        key="k",
        data=tmp_path,
        secrets_dir=tmp_path / "secrets",
        engines_dir=tmp_path / "engines",
        slots=1,
        max_log_bytes=1000,
        keep_folders_s=0,
        run_timeout_s=10,
        cache_bytes=0,
        gpus=0,
    )

    def run(server: Server) -> None:
        monkeypatch.setattr(_Api, "server", server, raising=False)
        work(options)

    return run


async def patiently(main: Coroutine[Any, Any, None]) -> None:
    running = asyncio.create_task(main)
    ended, _ = await asyncio.wait([running], timeout=PATIENCE_S)
    assert ended, "the worker does not end"
    running.result()


async def look(server: Server) -> LeaseAnswer:
    """The wait for runs ends since the worker's state has changed."""
    server.state = WorkerState.DRAINING
    return LeaseAnswer(leases=[], check=True)


async def told(server: Server) -> LeaseAnswer:
    """There are no runs for a worker of this state."""
    return LeaseAnswer(leases=[], state=server.state)


async def wait(server: Server) -> LeaseAnswer:
    """Nothing comes."""
    await asyncio.sleep(PATIENCE_S)
    return LeaseAnswer(leases=[])


@pytest.mark.parametrize("turns", range(20))
def test_a_drained_worker_ends_however_close_together_it_hears_of_it_twice(
    work_for: Callable[[Server], None], turns: int
) -> None:
    server = Server(look, told, turns=turns)
    work_for(server)
    assert server.beats[-1].ends
    assert server.beats[-1].incarnation == server.registered[-1].incarnation


def test_a_worker_that_is_to_drain_when_it_registers_ends_at_once(work_for: Callable[[Server], None]) -> None:
    server = Server(wait)
    server.state = WorkerState.DRAINING
    work_for(server)
    assert [beat.ends for beat in server.beats] == [True]


def test_a_drained_worker_says_so_to_a_server_that_is_away_for_a_moment(work_for: Callable[[Server], None]) -> None:
    server = Server(look, told, away=2)
    work_for(server)
    assert server.beats[-1].ends


def test_a_worker_that_is_not_known_any_more_ends_in_silence(work_for: Callable[[Server], None]) -> None:
    server = Server(look, told, unknown=True)
    work_for(server)
    assert not [beat for beat in server.beats if beat.ends]


def test_a_worker_that_is_stopped_takes_its_leave_too(work_for: Callable[[Server], None]) -> None:
    async def stop(server: Server) -> LeaseAnswer:
        os.kill(os.getpid(), signal.SIGTERM)
        return await wait(server)

    server = Server(stop)
    work_for(server)
    assert [beat.ends for beat in server.beats] == [True]
