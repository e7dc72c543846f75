"""The watchers of one feed, and how something is told to all of them without holding anybody else up."""

from __future__ import annotations

import asyncio
import time

from assay.server.streams.frames import Batch
from assay.server.streams.watcher import Watcher

_AT_ONCE = 50
"""Watchers that are woken before the event loop does something else: requests, and the writer of the store."""

_SHARE = 2.0
"""After something was told the feed pauses so many times as long as the processor was busy with it: watchers get a third of
that at most, and what comes meanwhile is told together."""

_LONGEST_PAUSE_S = 0.1


class Channel:
    """Those who watch the same."""

    def __init__(self) -> None:
        self.watchers: set[Watcher] = set()

    async def tell(self, batch: Batch) -> None:
        """Offer a batch to every watcher, then pause for the sake of all others."""
        began = time.thread_time()
        for count, watcher in enumerate(tuple(self.watchers), 1):
            watcher.offer(batch)
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(min((time.thread_time() - began) * _SHARE, _LONGEST_PAUSE_S))


def dismiss(channel: Channel) -> None:
    """Let all watchers go. Those who were given a last batch still send it; the others may come back, here or elsewhere."""
    for watcher in channel.watchers:
        watcher.leave()
