"""Does the faults of a plan to a fleet: several at a time, but one to a part that still suffers from another is left out."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from .disks import SMALL, limit_files
from .fleet import Fleet, Part
from .journal import Done
from .plan import Fault

_AT_ONCE = 3
_LOOK_S = 2.0
"""How long a fault waits for a process that it can befall."""


class NothingThere(Exception):
    """There is no such process at the moment."""


class Trouble:
    """Carries faults out. A fault that found nobody is not counted.

    Use as a context manager for as long as the fleet is needed: what PostgreSQL's starter asks of the kernel is that it ends
    with the thread that started it.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._locks: dict[str, threading.Lock] = {}
        self._counted = threading.Lock()
        self._threads = ThreadPoolExecutor(_AT_ONCE)
        self.done = 0
        """Faults that befell somebody."""

    def __enter__(self) -> Trouble:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()

    def cause(self, plan: Iterator[Fault], wanted: int, until: float) -> None:
        """Cause `wanted` faults, or as many as there is time for until `until` (monotonic); return when all are over."""
        running: list[Future[None]] = []
        for fault in plan:
            time.sleep(fault.gap_s)
            for one in [one for one in running if one.done()]:
                running.remove(one)
                one.result()
            if self.done + len(running) >= wanted and self._settle(running, wanted):
                break
            if time.monotonic() > until:
                break
            while len(running) >= _AT_ONCE and not any(one.done() for one in running):
                time.sleep(0.05)
            running.append(self._threads.submit(self._carry_out, fault))
        self._settle(running, wanted)

    def _settle(self, running: list[Future[None]], wanted: int) -> bool:
        """Wait for what is going on; say whether that made enough."""
        for one in running:
            one.result()
        running.clear()
        return self.done >= wanted

    def _carry_out(self, fault: Fault) -> None:
        journal, busy = self._fleet.journal, self._locks.setdefault(fault.target, threading.Lock())
        if not busy.acquire(blocking=False):
            journal.note("fault came too early", text=str(fault))
            return
        began = journal.now()
        try:
            self._do(fault)
        except NothingThere:
            journal.note("fault befell nobody", text=str(fault))
            return
        except Exception as error:
            journal.violated(f"{fault}: could not be done or undone: {type(error).__name__}: {error}")
            raise
        finally:
            busy.release()
        journal.fault(Done(str(fault), fault.kind.of, fault.kind.name, began, journal.now()))
        with self._counted:
            self.done += 1

    def _do(self, fault: Fault) -> None:
        of = fault.kind.of
        if of in ("server", "worker"):
            self._to_part(fault, self._fleet.part(fault.target))
        elif of in ("host", "engine", "guard"):
            self._below(fault, self._fleet.part(fault.target))
        elif of == "database":
            self._to_database(fault)
        elif of == "redis":
            self._to_redis(fault)
        else:
            link = self._fleet.links[fault.target]
            link.cut(fault.way)
            time.sleep(fault.seconds)
            link.mend()

    def _to_part(self, fault: Fault, part: Part) -> None:
        process = part.program.process
        assert process is not None
        if not part.program.runs:
            raise NothingThere
        match fault.kind.name:
            case "kill":
                part.down.set()
                try:
                    part.program.kill()
                    time.sleep(fault.seconds)
                    part.start()
                finally:
                    part.down.clear()
            case "stop":
                _stopped([process.pid], fault.seconds)
            case "clock":
                part.clock.jump(round(float(fault.way.removesuffix(" h")) * 3600))
                time.sleep(fault.seconds)
                part.clock.jump(0)
            case "full disk":
                if part.disk is None:
                    raise NothingThere
                part.disk.fill()
                time.sleep(fault.seconds)
                part.disk.free()
            case "file size":
                limit_files(process.pid, SMALL)
                time.sleep(fault.seconds)
                limit_files(process.pid, None)
            case "cut":
                assert part.link is not None
                part.link.cut(fault.way)
                time.sleep(fault.seconds)
                part.link.mend()

    def _below(self, fault: Fault, part: Part) -> None:
        """Befall one of the processes that a worker has started."""
        program = part.program
        alive = {"host": program.engine_hosts, "engine": program.engines, "guard": program.guards}[fault.kind.of]
        pid = _one_of(alive, fault.pick)
        if fault.kind.name == "kill":
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        else:
            _stopped([pid], fault.seconds)

    def _to_database(self, fault: Fault) -> None:
        database = self._fleet.database
        assert database is not None
        match fault.kind.name:
            case "kill":
                database.kill()
                time.sleep(fault.seconds)
                database.start()
            case "restart":
                database.stop(signal.SIGINT if fault.way == "fast" else signal.SIGQUIT)
                time.sleep(fault.seconds)
                database.start()
            case "stop":
                _stopped(database.pids(), fault.seconds)

    def _to_redis(self, fault: Fault) -> None:
        redis = self._fleet.redis
        assert redis is not None
        match fault.kind.name:
            case "kill":
                redis.kill()
                time.sleep(fault.seconds)
                redis.start()
            case "stop":
                _stopped([redis.pid], fault.seconds)
            case "flush":
                redis.ask("FLUSHALL")


def _one_of(alive: Callable[[], list[int]], pick: int) -> int:
    deadline = time.monotonic() + _LOOK_S
    while time.monotonic() < deadline:
        if pids := sorted(alive()):
            return pids[pick % len(pids)]
        time.sleep(0.05)
    raise NothingThere


def _stopped(pids: list[int], seconds: float) -> None:
    """Have processes stand still for a while."""
    _send(pids, signal.SIGSTOP)
    time.sleep(seconds)
    _send(pids, signal.SIGCONT)


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
