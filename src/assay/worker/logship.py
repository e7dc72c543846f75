"""Ships a run's output to the server: redacted, cut into lines, each with its time, bounded."""

from __future__ import annotations

import asyncio
import contextlib
import time

from assay.client.workers import Refused, ServerGone, WorkerApi
from assay.telemetry.redaction import Redactor

_PERIOD_S = 0.25
_LONGEST_LINE = 1 << 16
_TAIL = 20
_TAIL_BYTES = 1 << 16
_NOTICE = 100
"""Bytes kept free for the line that says that the log is cut; the server takes no more than the limit."""


class LogShip:
    """The log of one attempt, on its way to the server."""

    def __init__(self, api: WorkerApi, run_id: str, fence: int, redactor: Redactor, limit: int) -> None:
        self._api, self._run_id, self._fence, self._limit = api, run_id, fence, limit
        self._redactor = redactor
        self._streams = {name: redactor.stream() for name in ("stdout", "stderr")}
        self._partial = dict.fromkeys(self._streams, b"")
        self._beyond = dict.fromkeys(self._streams, b"")
        self._waiting = bytearray()
        self._offset = 0
        self._taken = 0
        self.chunks = 0
        """How often the run has written something."""
        self._last: list[str] = []
        self._task = asyncio.create_task(self._ship())

    def write(self, name: str, data: bytes) -> None:
        """Take a chunk of output of the stream `name`."""
        self.chunks += 1
        if self._taken >= self._limit:  # only its last lines are of use now
            self._beyond[name] = (self._beyond[name] + data)[-_TAIL_BYTES:]
            return
        self._lines(name, self._streams[name].feed(data))

    def line(self, text: str) -> None:
        """Take one line of the worker's own."""
        self._keep(self._redactor.text(text).encode())

    @property
    def tail(self) -> str:
        """The last lines of output, for an error message."""
        return "\n".join(self._last)

    def flush(self) -> None:
        """Take what the streams still hold back as their last lines: the output has ended."""
        for name, stream in self._streams.items():
            self._lines(name, stream.flush())
            if self._partial[name]:
                self._keep(self._partial[name])
                self._partial[name] = b""
            if self._beyond[name]:
                # What is cut at its head may be the rest of a secret.
                _, _, whole = self._beyond[name].partition(b"\n")
                self._beyond[name] = b""
                self._lines(name, self._redactor.bytes(whole) + b"\n")

    async def close(self) -> None:
        """Ship the rest. Lines that the server does not take any more are dropped."""
        self.flush()
        over = self._task.done()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if not over:
            with contextlib.suppress(Refused, ServerGone):
                await self._send()

    def _lines(self, name: str, data: bytes) -> None:
        # Progress bars redraw with a carriage return; a log has lines.
        *whole, rest = (self._partial[name] + data).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        while len(rest) > _LONGEST_LINE:
            whole.append(rest[:_LONGEST_LINE])
            rest = rest[_LONGEST_LINE:]
        self._partial[name] = rest
        for line in whole:
            self._keep(line)

    def _keep(self, line: bytes) -> None:
        if line.strip():
            self._last = [*self._last[1 - _TAIL :], line.decode(errors="replace")[:500]]
        if self._taken >= self._limit:
            return
        framed = b"%d %s\n" % (time.time_ns() // 1_000_000, line)
        self._taken += len(framed)
        if self._taken > self._limit - _NOTICE:
            self._taken = self._limit
            framed = b"%d [the log is cut here: it reached its limit of %d bytes]\n" % (
                time.time_ns() // 1_000_000,
                self._limit,
            )
        self._waiting += framed

    async def _ship(self) -> None:
        while True:
            await asyncio.sleep(_PERIOD_S)
            try:
                await self._send()
            except ServerGone:
                continue
            except Refused:  # the lease has passed on, and the log with it
                return

    async def _send(self) -> None:
        while self._waiting:
            data = bytes(self._waiting[: 1 << 20])
            size = await self._api.append_log(self._run_id, self._fence, self._offset, data)
            if size < self._offset + len(data):  # the server's own limit: it takes no more
                self._waiting.clear()
                return
            del self._waiting[: len(data)]
            self._offset += len(data)
