"""The store on PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import asyncpg

from assay.model.errors import AssayError
from assay.store.base import Connections, Operation, TooManyStatements
from assay.store.changes import Changes
from assay.store.postgres.address import Address
from assay.store.postgres.announcements import Announcements
from assay.store.postgres.connection import FAILURES, explain
from assay.store.postgres.drive import drive
from assay.store.postgres.horizon import Horizon
from assay.store.postgres.migrations import identity, migrate
from assay.store.postgres.writer import Writer
from assay.store.signals import LocalSignals

if TYPE_CHECKING:  # its library is an extra
    from assay.redis import Redis

T = TypeVar("T")

_POOL = 8
_LOOKING_UP = ("enable_seqscan = off", "enable_hashjoin = off", "enable_mergejoin = off", "random_page_cost = 1.1")


class _Connection(asyncpg.Connection):
    """A connection of the pool. What is set on one is for all who use it, so nothing is reset when it goes back."""

    def get_reset_query(self) -> str:
        return ""


async def _by_index(connection: Any) -> None:
    """Have a new connection look rows up one by one, and read no table or index as a whole: there always is one to look in.

    A plan that is made while a table is small is kept until PostgreSQL counts the rows, once a minute; by then it would read
    what thousands of jobs have left, again and again. Behind a pooler no plan is kept.
    """
    await connection.execute("; ".join(f"SET {setting}" for setting in _LOOKING_UP))


class PostgresStore:
    """Any number of servers may share the database; each hears of the others' changes."""

    writes_alone = False

    def __init__(self, pool: asyncpg.Pool[Any], address: Address, identity: str, redis: Redis | None = None) -> None:
        self.signals, self.changes = LocalSignals(), Changes()
        self.identity = identity
        self._pool = pool
        self._url = address.url
        self._announcements = Announcements(address, self.signals, identity, redis)
        self._writer = Writer(pool, self._announcements, self.changes, arrays=not address.pooled)
        self._horizon = Horizon(pool)
        self._long: set[type] = set()
        """Queries that take several statements."""

    @classmethod
    async def open(cls, url: str, redis: Redis | None = None) -> PostgresStore:
        """Connect and bring the schema up to date; `redis` wakes servers too. Raises StoreUnusable."""
        address = Address.of(url)
        await migrate(address)
        named = await identity(address)
        # Connections are made when they are needed, and kept.
        pool = await asyncpg.create_pool(
            address.url,
            min_size=0,
            max_size=_POOL,
            max_inactive_connection_lifetime=0,
            connection_class=_Connection,
            init=None if address.pooled else _by_index,
            **address.options,
        )
        return cls(pool, address, named, redis)

    async def generation(self) -> str:
        """Return PostgreSQL's name for what can be seen at the moment: the same name, the same contents."""
        try:
            return str(await self._pool.fetchval("SELECT pg_current_snapshot()::text"))
        except FAILURES as error:
            raise explain(error) from error

    @property
    def failure(self) -> AssayError | None:
        """What the last attempt to write failed of; None once one has been written."""
        return self._writer.failure

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
            async with self._pool.acquire() as connection:
                if type(query) not in self._long:
                    try:
                        return await drive(connection, query, [], single=True)
                    except TooManyStatements:
                        self._long.add(type(query))
                # One snapshot for all statements of the query.
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    return await drive(connection, query, [])
        except FAILURES as error:
            raise explain(error) from error

    async def scan(self, query: Operation[T]) -> T:
        """Answer a list or an aggregate."""
        return await self.lookup(query)

    async def horizon(self) -> int:
        """Return the highest number below which no transaction can still add an event."""
        try:
            return await self._horizon.advance()
        except FAILURES as error:
            raise explain(error) from error

    def announce(self, topics: Sequence[str]) -> None:
        """Wake whoever waits for `topics`, here at once, at other servers within moments."""
        self._announcements.tell(self._pool, topics)

    def connections(self) -> Connections:
        """Say how many connections of the pool there are; the one that listens is not of it."""
        idle, name = self._pool.get_idle_size(), urlsplit(self._url).path.removeprefix("/")
        return Connections("postgresql", name, self._pool.get_size() - idle, idle, self._pool.get_max_size())

    async def size(self) -> int:
        """Return the bytes of the database with its indexes."""
        try:
            return int(await self._pool.fetchval("SELECT pg_database_size(current_database())"))
        except FAILURES as error:
            raise explain(error) from error

    async def close(self) -> None:
        """Write what waits, then let go of the database."""
        await self._writer.close()
        await self._announcements.close()
        with contextlib.suppress(*FAILURES):
            await asyncio.wait_for(self._pool.close(), 5)
