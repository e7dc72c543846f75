"""A guard: carries out one program after another for the worker, and leaves nothing of any."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import time
from typing import Any, NoReturn

from . import below
from .messages import receive
from .start import start

_PATIENCE_S = 5.0
"""With processes that SIGKILL does not end at once, such as those waiting for a disk."""
_MOST_DESCRIPTORS = 64
"""That come with one request."""
_CHUNK = 1 << 16


class Guard:
    """Serves the worker at the other end of a socket.

    It says its process id first. A request is four bytes, the length of what follows, and JSON: `program`, `environment`,
    `folder`, `limits`, `numbers` (under which the program finds the descriptors that come with the request) and `grace_s`.
    A byte more ends the program: SIGTERM to all of it, SIGKILL to what is left `grace_s` seconds later. The answer is a line
    of JSON: `code`, negative for a signal, and whether it is `clean`, with nothing left: else this was the guard's last; or
    `errno` and `file` where there was no way to start.
    """

    def __init__(self, worker: socket.socket) -> None:
        self._worker = worker
        self._woken = below.woken()
        self._poll = select.poll()
        for descriptor in (self._woken, worker.fileno()):
            self._poll.register(descriptor, select.POLLIN)
        self._program = 0
        self._code: int | None = None
        below.adopt_orphans()
        self._send({"pid": os.getpid()})

    def serve(self) -> NoReturn:
        """Carry out what the worker sends, for as long as it is there and nothing is left of the last."""
        clean = True
        while clean:
            request, descriptors = self._receive()
            try:
                self._start(request, descriptors)
            except (OSError, ValueError) as error:
                file = getattr(error, "filename", None) or request["program"][0]
                self._send({"errno": getattr(error, "errno", None) or errno.EINVAL, "file": file})
                continue
            clean = self._follow(request["grace_s"])
            self._send({"code": -signal.SIGKILL if self._code is None else self._code, "clean": clean})
        os._exit(1)

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        data, descriptors = bytearray(), list[int]()
        while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
            more, brought = receive(self._worker, _CHUNK, _MOST_DESCRIPTORS)
            if not more:
                os._exit(0)
            data += more
            descriptors += brought
        return json.loads(data[4:]), descriptors

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the worker is gone, as the next look at the socket tells
            self._worker.sendall(json.dumps(message).encode() + b"\n")

    def _start(self, request: dict[str, Any], descriptors: list[int]) -> None:
        """Start the program. From then on its own processes alone hold its pipes, which close with the last of them."""
        try:
            self._program, self._code = start(request, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            os.chdir("/")  # its folder is not ours to hold

    def _follow(self, grace_s: float) -> bool:
        """Wait until the program has ended, or is to end; end the rest. Return whether nothing is left."""
        deadline: float | None = None
        while self._reap():
            if self._code is not None and deadline is None:
                return self._end_all()
            ready = {
                one for one, _ in self._poll.poll(None if deadline is None else max(deadline - time.monotonic(), 0) * 1e3)
            }
            if not ready:
                return self._end_all()
            if self._woken in ready:
                os.read(self._woken, _CHUNK)
            if self._worker.fileno() in ready:
                if not self._is_there():
                    self._end_all()
                    os._exit(0)
                if deadline is None:
                    deadline = time.monotonic() + grace_s
                    below.kill(below.descendants(), signal.SIGTERM)
        return True

    def _is_there(self) -> bool:
        """Return whether the worker asks for an end, rather than being gone."""
        try:
            return bool(self._worker.recv(1))
        except OSError:
            return False

    def _reap(self) -> bool:
        """Take note of who has ended; return whether somebody is left."""
        for pid, status in below.reaped():
            if pid == 0:
                return True
            if pid == self._program:
                self._code = os.waitstatus_to_exitcode(status)
        return False

    def _end_all(self) -> bool:
        """Kill everything below this process: what a killed process leaves becomes this one's child in turn."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            below.kill(below.children())
            if not self._reap():
                return True
            time.sleep(0.001)
        return False
