"""Wake-ups inside one process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence


class LocalSignals:
    """Topics that tasks of this event loop wait for."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._closed = False

    def announce(self, topics: Iterable[str]) -> None:
        """Wake everybody who waits for one of `topics`."""
        for topic in topics:
            for waiter in self._waiting.pop(topic, ()):
                if not waiter.done():
                    waiter.set_result(None)

    def announce_all(self) -> None:
        """Wake everybody: something may have been announced that nobody heard here."""
        self.announce(list(self._waiting))

    def close(self) -> None:
        """Wake everybody, now and from now on: the server is stopping."""
        self._closed = True
        self.announce_all()

    @property
    def closed(self) -> bool:
        """Whether the server is stopping."""
        return self._closed

    async def wait(self, topics: Sequence[str], timeout_s: float) -> bool:
        """Wait until one of `topics` is announced; False on time-out."""
        return await self.ticket(topics).wait(timeout_s)

    def ticket(self, topics: Sequence[str]) -> Ticket:
        """Return a ticket that remembers announcements from now on.

        Take it before looking at the store, so that nothing announced between the look and the wait is missed.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._closed:
            waiter.set_result(None)
        for topic in topics:
            self._waiting.setdefault(topic, set()).add(waiter)
        return Ticket(self, topics, waiter)

    def forget(self, topics: Sequence[str], waiter: asyncio.Future[None]) -> None:
        """Drop a waiter."""
        for topic in topics:
            waiters = self._waiting.get(topic)
            if waiters is not None:
                waiters.discard(waiter)
                if not waiters:
                    del self._waiting[topic]


class Ticket:
    """A place in the queue for announcements of some topics."""

    def __init__(self, signals: LocalSignals, topics: Sequence[str], waiter: asyncio.Future[None]) -> None:
        self._signals, self._topics = signals, topics
        self.waiter = waiter
        """Done once a topic has been announced."""

    async def wait(self, timeout_s: float) -> bool:
        """Wait until a topic has been announced since the ticket was taken; False on time-out. Use once."""
        try:
            await asyncio.wait([self.waiter], timeout=timeout_s)
            return self.waiter.done()
        finally:
            self.drop()

    def drop(self) -> None:
        """Give the place up."""
        self._signals.forget(self._topics, self.waiter)
