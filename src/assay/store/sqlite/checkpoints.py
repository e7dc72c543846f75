"""Moves what was committed from the write-ahead log into the database file, while the writer goes on.

SQLite's own way is that the commit which finds the log long copies all of it, and takes as long as dozens of commits. Here a
connection of its own copies it in a thread, in portions so small that a commit hardly waits for the disk because of them.
As the writer goes on meanwhile, such a copy is never complete, and only then can the log begin anew: so when the log has
become long the writer's connection copies the little that is left, between two transactions, and waits a moment for those
who still read from the log.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor

log = logging.getLogger(__name__)

_PORTION = 1000
"""Pages that the log is to have gained at a copy, 4 KiB each."""

_LONG = 16_000
"""Pages from which on the log is to begin anew: 64 MB."""

_TOO_LONG = 2 * _LONG
"""Pages from which on SQLite's own way is taken, should copies have failed or come too late."""

_PATIENCE_MS = 25
"""How long writing waits for those who read from a log that is to begin anew."""


class Checkpoints:
    """Watches how much is changed, and copies the log when it is likely to have gained a portion."""

    def __init__(self, writing: sqlite3.Connection, copying: sqlite3.Connection) -> None:
        """`writing`: the writer's connection. `copying`: another one to the same file, which `stop` closes."""
        self._writing, self._copying = writing, copying
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="assay-checkpoint")
        self.under_way: asyncio.Future[tuple[int, int] | None] | None = None
        """The copy that is being made, or of which nobody has looked at what came of it."""
        self._counted = writing.total_changes
        self._since = 0
        """Changes between the last two copies."""
        self._each = 1.0
        """Pages that a change adds to the log, as lately seen."""
        self._length = 0
        """Pages of the log at the last copy."""
        writing.execute(f"PRAGMA wal_autocheckpoint = {_TOO_LONG}")

    async def after_commit(self) -> None:
        """Begin a copy when it is time for one, or see what came of it. Called while no transaction is open."""
        loop = asyncio.get_running_loop()
        if self.under_way is None:
            since = self._writing.total_changes - self._counted
            if since * self._each >= _PORTION:
                self._counted, self._since = self._counted + since, since
                self.under_way = loop.run_in_executor(self._thread, _copied, self._copying)
        elif self.under_way.done():
            found, self.under_way = self.under_way.result(), None
            if found and self._is_to_begin_anew(*found) and await loop.run_in_executor(self._thread, _anew, self._writing):
                self._length = 0

    async def stop(self) -> None:
        """Let the copy that is under way end, and close its connection."""
        if self.under_way:
            await self.under_way
        self._thread.shutdown()
        self._copying.close()

    def _is_to_begin_anew(self, length: int, copied: int) -> bool:
        """Note how long the log was; say whether that is long, and nobody reads from it who began long ago."""
        gained = length - self._length if length > self._length else length
        self._length = length
        # One that has begun anew unnoticed may seem to have gained next to nothing.
        self._each = max(gained / self._since, self._each / 2)
        return length >= _LONG and length - copied < _LONG // 2


def _copied(connection: sqlite3.Connection, how: str = "PASSIVE") -> tuple[int, int] | None:
    """Copy what no reader stands in the way of; return the log's pages and how many of them have been copied.

    None: somebody stood in the way, or it failed.
    """
    try:
        busy, length, copied = connection.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
    except sqlite3.Error as error:
        log.warning("the write-ahead log could not be copied into the database, and is tried again later: %s", error)
        return None
    return None if busy else (length, copied)


def _anew(connection: sqlite3.Connection) -> bool:
    """Copy all that is left, and have the next transaction begin the log anew; say whether it will."""
    (usual,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
    try:
        return _copied(connection, "RESTART") is not None
    finally:
        connection.execute(f"PRAGMA busy_timeout = {usual}")
