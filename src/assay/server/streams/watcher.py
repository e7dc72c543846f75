"""One reader of a feed, and what has been told but not yet been sent to it.

Sending waits for the reader's network. What comes meanwhile waits here, up to a limit; a reader that falls behind further is
cut off, so that it costs nobody anything. It can come back and go on after the last event that it has seen.
"""

from __future__ import annotations

import asyncio
from collections import deque

from assay.server.streams.frames import Batch

LIMIT = 256 << 10
"""Most bytes that wait for one reader. The bytes themselves are shared by all of them."""


class Watcher:
    """Takes batches from a feed on one side and gives them to a connection on the other. Made in the task that sends."""

    __slots__ = ("_left", "_size", "_task", "_waiting", "_waker", "position", "slow")

    def __init__(self, position: int) -> None:
        self.position = position
        """The number of the last event that it has been given."""
        self.slow = False
        """Whether it has been cut off."""
        self._waiting: deque[Batch] = deque()
        self._size = 0
        self._waker: asyncio.Future[None] | None = None
        self._left = False
        self._task = asyncio.current_task()

    def offer(self, batch: Batch) -> None:
        """Put a batch behind the others; cut the reader off where it is one too many."""
        if self.slow:
            return
        if self._size + batch.size > LIMIT and self._waiting:
            self.slow = True
            self._waiting.clear()
            if self._waker is None and self._task is not None:  # it hangs in a send that may never end
                self._task.cancel()
            self.wake()
            return
        self._waiting.append(batch)
        self._size += batch.size
        self.wake()

    def leave(self) -> None:
        """Note that the reader has gone."""
        self._left = True
        self.wake()

    def wake(self) -> None:
        """Let whoever waits in `take` look again."""
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    async def take(self) -> Batch | None:
        """Return the next batch that holds anything new; None where the reader has gone or was cut off."""
        while True:
            while not (self._waiting or self._left or self.slow):
                self._waker = asyncio.get_running_loop().create_future()
                try:
                    await self._waker
                finally:
                    self._waker = None
            if self.slow or not self._waiting:
                return None
            batch = self._waiting.popleft()
            self._size -= batch.size
            batch = batch.after(self.position)
            self.position = max(self.position, batch.last)
            if batch.frames or batch.final:
                return batch
