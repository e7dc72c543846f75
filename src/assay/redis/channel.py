"""A channel that servers tell one another something on: sends in order, in the background, and hears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from assay import eventloop
from assay.redis.connection import Redis
from assay.redis.subscription import Subscription


class Channel:
    """Sends to and hears everybody on `name`, itself included; `heard` and `again` are as of a `Subscription`.

    What is sent while Redis is away is dropped.
    """

    def __init__(self, redis: Redis, name: str, heard: Callable[[bytes], None], again: Callable[[], None]) -> None:
        self._redis, self._name = redis, name
        self._outgoing: asyncio.Queue[str] = asyncio.Queue()
        self._subscription = Subscription(redis, name, heard, again)
        self._task = asyncio.create_task(self._send())

    @property
    def listening(self) -> bool:
        """Whether messages are heard at the moment."""
        return self._subscription.listening.is_set()

    def send(self, message: str) -> None:
        """Have a message sent."""
        if self._redis.connected:
            self._outgoing.put_nowait(message)

    async def close(self) -> None:
        """Stop sending and listening."""
        await eventloop.end(self._task)
        await self._subscription.close()

    async def _send(self) -> None:
        while True:
            await self._redis.publish(self._name, await self._outgoing.get())
