"""Up to which number every event is there to be read, on a database that several servers write to.

An event takes its number when it is inserted and becomes visible when its transaction commits, and of two servers the one
with the higher number may commit first. A reader of all events that went on from it would never see the other.

So a number counts once every transaction that may have taken a lower one has ended. Such a transaction held the lock on the
table that every insertion takes, before it took its number and until its end was visible to all. Snapshots would not do:
they do not show transactions that began after the last one that has ended.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import asyncpg

_LAST = "SELECT coalesce((SELECT last_value FROM events_seq_seq WHERE is_called), 0)"
_WRITING = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND relation = 'events'::regclass
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Horizon:
    """Follows the numbers of events. One for each process."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._settled = 0
        self._open: deque[tuple[int, set[str]]] = deque()
        """Numbers, each with the transactions that may have taken a lower one."""

    async def advance(self) -> int:
        """Return the highest number that counts by now."""
        async with self._pool.acquire() as connection:
            last = await connection.fetchval(_LAST)
            writing = {row["virtualtransaction"] for row in await connection.fetch(_WRITING)}
        if last > max(self._settled, self._open[-1][0] if self._open else 0):
            self._open.append((last, writing))
        while self._open and self._open[0][1].isdisjoint(writing):
            self._settled = max(self._settled, self._open.popleft()[0])
        return self._settled
