"""The worker's side of `launch`: its guards, which start the programs of its runs and end all that comes of them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.runtimes import tree

log = logging.getLogger(__name__)

_ENTRY = Path(__file__).with_name("launch") / "__main__.py"
_KEPT = ("LD_LIBRARY_PATH",)
"""Variables without which the interpreter might not start."""
_CHUNK = 4096
_TRIES = 3
"""To get a new guard: it, or the spawner, may have been killed a moment ago, which shows in three ways."""
_HELLO_S = 20.0
_PATIENCE_S = 7.0
"""With a guard that ends a run, beyond the run's grace: more than it has itself."""


class NoGuard(OSError):
    """No process can be started at this moment; later, or elsewhere, one can."""


class Guard:
    """A guard process; one program at a time is in its hands."""

    def __init__(self, connection: socket.socket, spawner: _Spawner) -> None:
        self._connection, self._spawner = connection, spawner
        self._loop = asyncio.get_running_loop()
        self._partial = b""
        self._spent = False
        self.pid = 0
        self.lost = False
        """Whether it has ended or hung up."""
        self.answer: asyncio.Future[int | None] = self._loop.create_future()
        """The exit code of its program (negative: a signal); None if the guard was lost. OSError: it did not start."""
        self._loop.add_reader(connection.fileno(), self._readable)

    @property
    def reusable(self) -> bool:
        """Whether it may carry out another program.

        Not where it might still heed a word that was meant for this one, where something is left below it, or where nobody
        would clear up behind it.
        """
        return not self.lost and not self._spent and not self._spawner.gone

    async def begin(self, request: bytes, descriptors: Sequence[int]) -> bool:
        """Have it start a program; return whether it was there to be told."""
        self.answer = self._loop.create_future()
        data = len(request).to_bytes(4, "big") + request
        try:
            sent = socket.send_fds(self._connection, [data], descriptors)
            if sent < len(data):
                await self._loop.sock_sendall(self._connection, data[sent:])
        except OSError:
            return False
        except BaseException:  # nobody will tell it the rest
            self.close()
            raise
        return True

    def stop(self) -> None:
        """Have it end the program and all that came of it; its answer then follows."""
        self._spent = True
        with contextlib.suppress(OSError):
            self._connection.send(b"!")

    def kill(self) -> None:
        """Kill it, since it does not answer; what it guards falls to the spawner."""
        if not self.lost:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)
        self.close()

    async def settled(self) -> bool:
        """Wait until nothing is left of it, once it was lost; return whether that is known."""
        return await self._spawner.settle(self.pid)

    def close(self) -> None:
        """Let it end."""
        if not self.lost:
            self.lost = True
            self._loop.remove_reader(self._connection.fileno())
            self._connection.close()
        if not self.answer.done():
            self.answer.set_result(None)

    def _readable(self) -> None:
        try:
            data = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._heed(json.loads(line))

    def _heed(self, message: dict[str, Any]) -> None:
        if "pid" in message:
            self.pid = message["pid"]
        if self.answer.done():
            return
        if "errno" in message:
            self.answer.set_exception(OSError(message["errno"], os.strerror(message["errno"]), message["file"]))
        else:
            self._spent |= not message.get("clean", True)
            self.answer.set_result(message.get("code"))


class Guards:
    """The guards of one worker: each is started when it is needed, and used again. Use from one event loop.

    `marker` (`NAME=value`) is in the environment of all of them, so that a later worker finds what is left of this one.
    """

    def __init__(self, marker: str) -> None:
        self._marker = marker
        self._idle: list[Guard] = []
        self._busy: set[Guard] = set()
        self._spawner: _Spawner | None = None
        self._starting = asyncio.Lock()

    async def start(self, program: Mapping[str, Any], descriptors: Sequence[int]) -> Guard:
        """Have a guard start a program (see `launch.guard.Guard`); return that guard. Raises NoGuard if there is none."""
        request = json.dumps(program).encode()
        for _ in range(len(self._idle) + _TRIES):
            guard = self._idle.pop() if self._idle else await self._fork()
            self._busy.add(guard)
            if guard.reusable and await guard.begin(request, descriptors):
                return guard
            self._give_up(guard)
        raise NoGuard(errno.ECONNRESET, "the process that was to guard it was killed")

    async def end(self, guard: Guard, marker: str, grace_s: float) -> int | None:
        """End the program of a guard if it has not ended, and all that came of it; return its exit code, None if not known.

        `marker` is in the environment of its processes, for the case that guard and spawner were killed. Raises OSError if
        the program could not be started.
        """
        if not guard.answer.done():
            guard.stop()
            await asyncio.wait([guard.answer], timeout=grace_s + _PATIENCE_S)
        if not guard.answer.done():
            log.error("the guard %d does not answer and is killed", guard.pid)
            guard.kill()
        if guard.lost and not await guard.settled():
            await tree.end(marker)
        if guard.reusable:
            self._busy.discard(guard)
            self._idle.append(guard)
        else:
            self._give_up(guard)
        return guard.answer.result()

    async def close(self) -> None:
        """End guards and spawner, with whatever they still have in their hands."""
        for guard in (*self._idle, *self._busy):
            self._give_up(guard)
        self._idle.clear()
        if self._spawner:
            await self._spawner.close()

    def _give_up(self, guard: Guard) -> None:
        self._busy.discard(guard)
        guard.close()

    async def _fork(self) -> Guard:
        for _ in range(_TRIES):
            async with self._starting:
                if self._spawner is None or self._spawner.gone:
                    self._spawner = await _Spawner.start(self._marker)
                spawner = self._spawner
            if guard := await spawner.fork():
                return guard
        raise NoGuard(errno.EAGAIN, "no process can be started now")


class _Spawner:
    """The process that forks guards."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process, self._control = process, control
        self._loop = asyncio.get_running_loop()
        self._settling: dict[int, asyncio.Future[bool]] = {}
        self._ending = False
        self.gone = False
        self._loop.add_reader(control.fileno(), self._readable)

    @classmethod
    async def start(cls, marker: str) -> _Spawner:
        """Start it. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            # Not by the event loop: uvloop keeps what it gives to a process, and the socket's end would never be seen.
            process = await asyncio.to_thread(_launch, marker, theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return cls(process, ours)

    async def fork(self) -> Guard | None:
        """Return a new guard; None when there is no spawner any more, or it cannot fork."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        guard = Guard(ours, self)
        try:
            socket.send_fds(self._control, [b"guard"], [theirs.fileno()])
        except OSError:
            self._close()
            guard.close()
        finally:
            theirs.close()
        try:
            await asyncio.wait([guard.answer], timeout=_HELLO_S)
        finally:
            if not guard.pid:
                guard.close()
        return None if guard.lost else guard

    async def settle(self, pid: int) -> bool:
        """Wait until nothing is left of a guard that was lost; return whether that is known."""
        if self.gone:
            return False
        future = self._settling[pid] = self._loop.create_future()
        try:
            self._control.send(b"settle %d" % pid)
            await asyncio.wait([future], timeout=_PATIENCE_S)
        except OSError:
            return False
        finally:
            del self._settling[pid]
        return future.done() and future.result()

    async def close(self) -> None:
        """Let it end, with all guards; kill it if it does not."""
        self._ending = True
        self._close()
        try:
            await asyncio.to_thread(self._process.wait, _PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _readable(self) -> None:
        try:
            message = self._control.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._close()
            return
        future = self._settling.get(int(message.removeprefix(b"settled ")))
        if future and not future.done():
            future.set_result(True)

    def _close(self) -> None:
        if self.gone:
            return
        self.gone = True
        if not self._ending:
            log.warning("the process that starts the programs of runs has ended; the next run starts another")
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        self._process.poll()
        for future in self._settling.values():
            if not future.done():
                future.set_result(False)


def _launch(marker: str, control: socket.socket) -> subprocess.Popen[bytes]:
    name, _, value = marker.partition("=")
    return subprocess.Popen(
        (sys.executable, "-I", "-S", "-X", "utf8", str(_ENTRY)),
        stdin=control.fileno(),
        stdout=subprocess.DEVNULL,
        env={name: value, tree.GUARD: "1", **{one: os.environ[one] for one in _KEPT if one in os.environ}},
        cwd="/",
        start_new_session=True,
    )
