"""Hears one channel for as long as it is open, whatever happens to the connection.

Redis keeps no messages: what is published while nobody listens is lost. So whoever subscribes is told each time that a
connection stands again, and looks for itself at what it may have missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from assay import eventloop
from assay.redis.connection import FAILURES, PATIENCE_S, Redis

log = logging.getLogger(__name__)

_QUIET_S = 15.0
"""After so long without a message it is tried whether the connection still carries anything."""
_PAUSE_S = 0.5


class Subscription:
    """Calls `heard` with each message on `channel`, and `again` whenever it begins to listen. Neither may raise."""

    def __init__(self, redis: Redis, channel: str, heard: Callable[[bytes], None], again: Callable[[], None]) -> None:
        self._redis, self._channel = redis, channel
        self._heard, self._again = heard, again
        self.listening = asyncio.Event()
        """Set while messages are heard."""
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Stop listening."""
        await eventloop.end(self._task)

    async def _keep(self) -> None:
        while True:
            await self._redis.ready()
            try:
                await self._listen()
            except FAILURES as error:
                self._redis.errors += 1
                log.debug("the channel %s is not heard: %s", self._channel, type(error).__name__)
            except Exception:  # whatever it is: without this nothing would be heard any more
                log.exception("the channel %s is not heard", self._channel)
            finally:
                self.listening.clear()
            await asyncio.sleep(_PAUSE_S)

    async def _listen(self) -> None:
        """Listen until the connection fails."""
        pubsub = self._redis.pubsub()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await pubsub.subscribe(self._channel)
                while await pubsub.get_message(timeout=PATIENCE_S) is None:
                    pass  # until Redis says that the channel is subscribed
            self.listening.set()
            self._again()
            asked = False
            while True:
                message = await pubsub.get_message(timeout=PATIENCE_S if asked else _QUIET_S)
                if message is not None:
                    asked = False
                    if message["type"] == "message":
                        self._heard(message["data"])
                elif asked:
                    raise TimeoutError
                else:
                    asked = True
                    await pubsub.ping()
        finally:
            with contextlib.suppress(*FAILURES):
                await pubsub.aclose()
