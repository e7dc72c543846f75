"""Admission to one endpoint: so many requests at a time, in order of arrival, none while it asks for rest."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from collections.abc import AsyncIterator
from itertools import count
from typing import Protocol


class Clock(Protocol):
    """The time the gateway lives by; replaced in tests."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    now = staticmethod(time.monotonic)
    sleep = staticmethod(asyncio.sleep)


class Endpoint:
    """A gate for at most `limit` requests at a time, in the order of their numbers.

    `pause` closes it for everybody. A request that comes back after a failed attempt keeps its number, and
    so its place before later ones.
    """

    _numbers = count()

    def __init__(self, limit: int, clock: Clock) -> None:
        self.limit = limit
        self.active = 0
        self._clock = clock
        self._paused_until = 0.0
        self._resume: asyncio.Task[None] | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @classmethod
    def number(cls) -> int:
        """A place in the queue; later calls get later places."""
        return next(cls._numbers)

    @contextlib.asynccontextmanager
    async def slot(self, number: int) -> AsyncIterator[None]:
        """Hold one of the slots; waits for its turn."""
        await self._enter(number)
        try:
            yield
        finally:
            self._leave()

    def pause(self, seconds: float) -> None:
        """Admit nobody for `seconds` from now; a longer pause that is already running stays."""
        self._paused_until = max(self._paused_until, self._clock.now() + seconds)

    def close(self) -> None:
        """Stop the timer of a pause."""
        if self._resume is not None:
            self._resume.cancel()

    async def _enter(self, number: int) -> None:
        if self.active < self.limit and not self._waiting and not self._paused():
            self.active += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (number, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        self.active -= 1
        self._admit()

    def _admit(self) -> None:
        if self._paused():
            if self._waiting and (self._resume is None or self._resume.done()):
                self._resume = asyncio.create_task(self._admit_after_pause())
            return
        while self._waiting and self.active < self.limit:
            _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self.active += 1
                turn.set_result(None)

    def _paused(self) -> bool:
        return self._clock.now() < self._paused_until

    async def _admit_after_pause(self) -> None:
        while (left := self._paused_until - self._clock.now()) > 0:
            await self._clock.sleep(left)
        self._resume = None
        self._admit()
