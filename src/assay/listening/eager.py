"""Staying awake for a client that sends one request after another.

A thread that sleeps until something comes has to be woken, which on a virtual machine takes longer than most answers do, and
the processor is not idle meanwhile: it goes to sleep and comes back. So the event loop goes on looking for a moment after an
answer to a client that has lately gone on at once, as the schedulers of other languages do before they let a thread sleep.
It costs at most that moment once, when the client stops.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

MOMENT_S = 0.0001
"""How long the loop goes on looking after an answer."""
_AT_ONCE_S = 0.0003
"""A client goes on at once when its next request has come within this time, of which waking up is the larger part."""
_OFTEN = 8
"""Requests in a row that came at once, after which the next is expected to."""
_RESTING = 256
"""Requests more that it takes after the loop has looked in vain."""


class Wakeful:
    """Keeps an event loop from going to sleep, a moment at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._until = 0.0
        self._awake = False

    def stay(self) -> None:
        """Stay awake for a moment from now on."""
        self._until = perf_counter() + MOMENT_S
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        """Have the loop look for what has come, and come back here at once."""
        if perf_counter() < self._until:
            self._loop.call_soon(self._look)
        else:
            self._awake = False


class Habit:
    """What the client of one connection does after an answer."""

    __slots__ = ("_answered_at", "_in_a_row", "_wakeful")

    def __init__(self, wakeful: Wakeful) -> None:
        self._wakeful = wakeful
        self._answered_at = 0.0
        self._in_a_row = 0

    def goes_on(self) -> None:
        """Note that something has come after an answer."""
        took = perf_counter() - self._answered_at
        if self._in_a_row >= _OFTEN:
            self._in_a_row = self._in_a_row + 1 if took < MOMENT_S else -_RESTING
        elif took < _AT_ONCE_S:
            self._in_a_row += 1
        elif self._in_a_row > 0:
            self._in_a_row = 0

    def answered(self) -> None:
        """Note that nothing is owed to the client now; stay awake where it is expected to go on at once."""
        self._answered_at = perf_counter()
        if self._in_a_row >= _OFTEN:
            self._wakeful.stay()
