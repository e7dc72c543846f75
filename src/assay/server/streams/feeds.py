"""What feeds have in common: a history that can be read in pages, and a place to join those who are told what is new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from assay.server.streams.frames import Batch, Frame
from assay.server.streams.watcher import Watcher

PAGE = 500
"""Most events that are read at once."""

KEEPALIVE_S = 15.0
"""After so long without anything to tell, watchers are told that they are still connected."""

BREATH_S = 0.02
"""The store is asked at most so often: what is written at the same time is told together."""

RETRY_S = 1.0
"""The pause before a store that did not answer is asked again."""


class Page(NamedTuple):
    """A piece of history, up to the number `position`. `more`: it goes on. `end`: with it the stream ends."""

    frames: Sequence[Frame]
    position: int
    more: bool
    end: Frame | None = None


class Feed(Protocol):
    """Tells watchers what happens."""

    async def page(self, after: int) -> Page:
        """Read the history after the event `after`."""
        ...

    def join(self, watcher: Watcher) -> int:
        """Tell the watcher from now on. Return the number of the last event that it was too late for."""
        ...

    def standing(self) -> Batch | None:
        """Return what of the things that are not in the history holds at the moment."""
        ...

    def leave(self, watcher: Watcher) -> None:
        """Tell the watcher no more."""
        ...
