"""The store on PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg

from assay.model.errors import AssayError, StoreUnavailable
from assay.store.base import Connections, Operation
from assay.store.changes import Changes
from assay.store.postgres.drive import drive
from assay.store.postgres.migrations import migrate
from assay.store.postgres.writer import CHANNEL, Writer
from assay.store.signals import LocalSignals

log = logging.getLogger(__name__)

T = TypeVar("T")

_POOL = 8
_LISTEN_PAUSE_S = 1.0
_UNAVAILABLE = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError, TimeoutError)


class PostgresStore:
    """Any number of servers may share the database; each hears of the others' changes through LISTEN."""

    def __init__(self, pool: asyncpg.Pool[Any], url: str) -> None:
        self.signals, self.changes = LocalSignals(), Changes()
        self._pool = pool
        self._url = url
        self._writer = Writer(pool, self.signals, self.changes)
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def open(cls, url: str) -> PostgresStore:
        """Connect and bring the schema up to date. Raises StoreUnusable."""
        await migrate(url)
        pool = await asyncpg.create_pool(url, min_size=1, max_size=_POOL, command_timeout=60)
        return cls(pool, url)

    @property
    def generation(self) -> None:
        """Unknown: other servers may have written."""
        return None

    async def transact(self, operations: Sequence[Operation[Any]], urgent: bool = False) -> list[Any | AssayError]:
        """Carry out each operation, alone in what it may fail of; answer once all is durable."""
        return await self._writer.submit(operations, urgent)

    async def apply(self, operation: Operation[T], urgent: bool = False) -> T:
        """Carry out one operation; return its result once it is durable, or raise its error."""
        (result,) = await self._writer.submit((operation,), urgent)
        if isinstance(result, AssayError):
            raise result
        return result  # type: ignore[no-any-return]

    async def lookup(self, query: Operation[T]) -> T:
        """Answer a query by primary key."""
        try:
            # One snapshot for all statements of the query.
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                return await drive(connection, query, [])
        except _UNAVAILABLE as error:
            raise StoreUnavailable(error="it does not answer", remedy="check that PostgreSQL runs") from error

    async def scan(self, query: Operation[T]) -> T:
        """Answer a list or an aggregate."""
        return await self.lookup(query)

    def connections(self) -> Connections:
        """Say how many connections of the pool there are; the one that listens is not of it."""
        idle, name = self._pool.get_idle_size(), urlsplit(self._url).path.removeprefix("/")
        return Connections("postgresql", name, self._pool.get_size() - idle, idle, self._pool.get_max_size())

    async def close(self) -> None:
        """Write what waits, then let go of the database."""
        await self._writer.close()
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening
        with contextlib.suppress(*_UNAVAILABLE):
            await asyncio.wait_for(self._pool.close(), 5)

    async def _listen(self) -> None:
        """Hear what other servers announce; connect again whenever the connection is lost."""
        while True:
            with contextlib.suppress(*_UNAVAILABLE, asyncpg.PostgresError):
                connection = await asyncpg.connect(self._url)
                lost = asyncio.Event()
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                try:
                    await connection.add_listener(CHANNEL, self._heard)
                    await lost.wait()
                finally:
                    connection.terminate()
            await asyncio.sleep(_LISTEN_PAUSE_S)

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        self.signals.announce(json.loads(str(payload)))
