"""Pipes from processes of a run to the worker."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

_CHUNK = 1 << 16
_MOST_AT_ONCE = 64
"""Chunks that are read in one go at the end: more than a pipe holds."""


class Pipe:
    """A pipe whose write end goes to another process, and whose read end is drained here. `take` gets what arrives."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._read_end, self.write_end = os.pipe()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._begun = False

    def begin(self) -> None:
        """Close our write end and read until all others are closed."""
        self._begun = True
        os.close(self.write_end)
        os.set_blocking(self._read_end, False)
        asyncio.get_running_loop().add_reader(self._read_end, self._readable)

    def abandon(self) -> None:
        """Close both ends."""
        os.close(self.write_end)
        os.close(self._read_end)

    async def drained(self, timeout_s: float = 2.0) -> None:
        """Wait until everything has been read; close what was never begun."""
        if not self._begun:
            self.abandon()
            return
        for _ in range(_MOST_AT_ONCE):
            if self._done.done() or not self._readable():
                break
        if not self._done.done():
            await asyncio.wait([self._done], timeout=timeout_s)
        if not self._done.done():
            self._finish()

    def _readable(self) -> bool:
        """Read what is there; return whether there may be more."""
        try:
            data = os.read(self._read_end, _CHUNK)
        except BlockingIOError:
            return False
        if data:
            self._take(data)
        else:
            self._finish()
        return bool(data)

    def _finish(self) -> None:
        asyncio.get_running_loop().remove_reader(self._read_end)
        os.close(self._read_end)
        self._done.set_result(None)
