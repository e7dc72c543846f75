"""The calls that wait to be written: what a writer takes its groups from."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from assay.model.errors import StoreUnavailable
from assay.store.base import Operation

_TURNS = 3
"""Turns of the event loop before a group is taken: requests that have come, and who has just been answered, get into it."""


class Call(NamedTuple):
    """Operations of one caller, who waits for the result of each."""

    operations: Sequence[Operation[Any]]
    answer: asyncio.Future[list[Any]]


class Calls:
    """Calls in the order in which they came, the urgent ones first."""

    def __init__(self) -> None:
        self._urgent: deque[Call] = deque()
        self._normal: deque[Call] = deque()
        self._arrived = asyncio.Event()
        self._closed = False

    def submit(self, operations: Sequence[Operation[Any]], urgent: bool) -> asyncio.Future[list[Any]]:
        """Have a call wait; the future gets a result or an AssayError for each operation, after the commit."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        if self._closed:
            answer.set_exception(StoreUnavailable(error="the server is stopping", remedy="wait for it to start again"))
            return answer
        (self._urgent if urgent else self._normal).append(Call(operations, answer))
        self._arrived.set()
        return answer

    async def group(self, most: int) -> list[Call]:
        """Wait for calls; return up to `most` of those that are there. None: it is closed, and all have been taken."""
        while not (self._urgent or self._normal):
            if self._closed:
                return []
            self._arrived.clear()
            await self._arrived.wait()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        group: list[Call] = []
        for calls in (self._urgent, self._normal):
            while calls and len(group) < most:
                group.append(calls.popleft())
        return group

    def close(self) -> None:
        """Take no more calls."""
        self._closed = True
        self._arrived.set()


def deliver(group: Iterable[Call], answers: Iterable[list[Any]]) -> None:
    """Answer the callers who still wait."""
    for call, answer in zip(group, answers, strict=True):
        if not call.answer.done():
            call.answer.set_result(answer)
