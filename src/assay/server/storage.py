"""How much room things take: the database, the blobs, the logs, and what is free on the disk.

Measuring walks through folders, so it is done in a thread, and what was measured serves everybody for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from assay.scheduler.identifiers import now
from assay.store.base import Store


class Measured(NamedTuple):
    """Bytes of each part at a moment (microseconds since 1970). Blobs and logs are those of this server's data folder."""

    at: int
    database: int
    blobs: int
    logs: int
    free: int
    """Bytes that are free on the disk of the data folder."""


class Storage:
    """Measures a store and a data folder, at most once in `KEPT_S` seconds, and for all who ask at once together."""

    KEPT_S = 60.0

    def __init__(self, store: Store, data: Path) -> None:
        self._store, self._data = store, data
        self._asked: asyncio.Task[Measured] | None = None
        self._until = 0.0

    async def measure(self) -> Measured:
        """Return how much room everything takes. Raises StoreUnavailable."""
        asked = self._asked
        failed = asked is not None and asked.done() and asked.exception() is not None
        if asked is None or failed or (asked.done() and time.monotonic() >= self._until):
            asked = self._asked = asyncio.create_task(self._measure())
        return await asyncio.shield(asked)

    async def _measure(self) -> Measured:
        database = await self._store.size()
        blobs = await asyncio.to_thread(_bytes, self._data / "blobs")
        logs = await asyncio.to_thread(_bytes, self._data / "logs")
        self._until = time.monotonic() + self.KEPT_S
        return Measured(now(), database, blobs, logs, shutil.disk_usage(self._data).free)


def parts(found: Measured) -> dict[str, int]:
    """Return the bytes of each part, by its name."""
    return {"database": found.database, "blobs": found.blobs, "logs": found.logs, "free": found.free}


def _bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder. What goes meanwhile does not count."""
    total, waiting = 0, [str(folder)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
    return total
