"""The spawner: forks guards, and ends what those leave behind that were killed."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import socket
import time

from . import below
from .guard import Guard
from .messages import receive

_PATIENCE_S = 5.0
"""With processes that SIGKILL does not end at once, such as those waiting for a disk."""
_LONGEST_PAUSE_S = 1.0
_CHUNK = 4096


class Spawner:
    """Serves one worker.

    Its messages: `guard`, with the guard's end of a socket between worker and guard, and `settle PID`, which is answered by
    `settled PID` once that guard is gone and nothing of it is left.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control: socket.socket | None = control
        self._guards: set[int] = set()
        self._asked: dict[int, float] = {}
        """Guards whose end the worker waits for, and since when."""
        self._strays = False
        """Whether something that a guard has left may still be there."""
        self._woken = below.woken()
        self._poll = select.poll()
        self._poll.register(self._woken, select.POLLIN)
        self._poll.register(control, select.POLLIN)
        below.adopt_orphans()

    def serve(self) -> None:
        """Serve until the worker is gone, the guards have ended, and nothing is left of them."""
        pause_s = 0.0
        while self._control or self._guards or self._strays:
            pause_s = min(pause_s * 2 or 0.001, _LONGEST_PAUSE_S) if self._strays else 0.0
            for descriptor, _ in self._poll.poll(pause_s * 1e3 if self._strays else None):
                if descriptor == self._woken:
                    os.read(self._woken, _CHUNK)
                elif self._control:
                    self._heed(self._control)
            self._clear()

    def _heed(self, control: socket.socket) -> None:
        message, descriptors = receive(control, _CHUNK, 1)
        if message == b"guard" and descriptors:
            self._fork(control, descriptors[0])
        elif message.startswith(b"settle "):
            self._asked[int(message[7:])] = time.monotonic()
        elif not message:
            self._poll.unregister(control)
            control.close()
            self._control = None
            self._asked.clear()

    def _fork(self, control: socket.socket, descriptor: int) -> None:
        try:
            pid = os.fork()
        except OSError:  # the worker sees that its guard is gone before it has said a word
            os.close(descriptor)
            return
        if pid:
            os.close(descriptor)
            self._guards.add(pid)
            return
        try:
            control.close()
            os.close(self._woken)
            Guard(socket.socket(fileno=descriptor)).serve()
        finally:
            os._exit(1)

    def _clear(self) -> None:
        """Take note of who has ended, kill what was left to this process, and answer who waits for that."""
        for pid, _ in below.reaped():
            if pid in self._guards:
                self._guards.remove(pid)
                self._strays = True
        if self._strays:
            strays = below.children() - self._guards
            below.kill(strays)
            self._strays = bool(strays)
        for pid, since in list(self._asked.items()):
            gone = pid not in self._guards and not self._strays
            if self._control and (gone or time.monotonic() - since > _PATIENCE_S):
                del self._asked[pid]
                with contextlib.suppress(OSError):
                    self._control.send(b"settled %d" % pid)


def main() -> None:
    """Be a spawner."""
    control = socket.fromfd(0, socket.AF_UNIX, socket.SOCK_SEQPACKET)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nothing, number)
    os.close(nothing)
    os.chdir("/")
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # A service manager sends them to all of its processes: the worker has heard it, and ends its runs in order.
        signal.signal(ignored, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.freeze()  # what is there stays, and its pages stay shared with the guards
    Spawner(control).serve()
