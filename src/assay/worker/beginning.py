"""The start of a run's process, on its way to the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from assay.model.protocol import STARTED_HEADER

_SOON_S = 0.1
"""Nobody misses the state of a run for so long; and many runs that are over by then need no call of their own for it."""


class Beginning:
    """Tells the server when the process of a run has started: with its first report or its end, whatever comes first, or by
    itself when neither comes soon: `tell` does that, and returns whether the server knows then.
    """

    def __init__(self, run_id: str, tell: Callable[[], Awaitable[bool]]) -> None:
        self._run_id, self._tell = run_id, tell
        self._loop = asyncio.get_running_loop()
        self._at = 0.0
        self._unsaid = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """The process has started."""
        self._at, self._unsaid = self._loop.time(), True
        self._timer = self._loop.call_later(_SOON_S, self._say)

    def ago_ms(self) -> int | None:
        """Return how many milliseconds ago that was; None if it was not, or if it has been told."""
        return round((self._loop.time() - self._at) * 1e3) if self._unsaid else None

    def header(self) -> tuple[str, str] | None:
        """Return what tells of it beside a report."""
        ago_ms = self.ago_ms()
        return None if ago_ms is None else (STARTED_HEADER, f"{self._run_id} {ago_ms}")

    def told(self) -> None:
        """Take note that the server knows."""
        self._unsaid = False
        if self._timer:
            self._timer.cancel()

    async def over(self) -> None:
        """Say nothing more of itself; wait for what is being said."""
        if self._timer:
            self._timer.cancel()
        if self._task:
            await self._task

    def _say(self) -> None:
        if self._unsaid:
            self._task = self._loop.create_task(self._alone())

    async def _alone(self) -> None:
        self._unsaid = not await self._tell() and self._unsaid
