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

_MOST_KEYED, _MOST_SCANNING = 5, 3
"""Most connections for what is written and looked up by key, and for lists and aggregates."""

_BY_INDEX = ("enable_seqscan = off", "random_page_cost = 1.1", "max_parallel_workers_per_gather = 0")
"""Never read a table as a whole: there always is an index. To start workers takes longer than most pages."""

_ONE_BY_ONE = (*_BY_INDEX, "enable_hashjoin = off", "enable_mergejoin = off")
"""Nor an index: who comes with keys has few, however many rows there are."""


class _Connection(asyncpg.Connection):
    """A connection of the pool. What is set on one is for all who use it, so nothing is reset when it goes back."""

    def get_reset_query(self) -> str:
        return ""


async def _pool(address: Address, most: int, settings: Sequence[str]) -> asyncpg.Pool[Any]:
    """Return connections that are made when they are needed, and kept, each with the settings of how to plan.

    A plan that is made while a table is small is kept until PostgreSQL counts the rows, once a minute; by then it would read
    what thousands of jobs have left, again and again. Behind a pooler no plan is kept, and no setting.
    """

    async def prepare(connection: Any) -> None:
        await connection.execute("; ".join(f"SET {setting}" for setting in settings))

    return await asyncpg.create_pool(
        address.url,
        min_size=0,
        max_size=most,
        max_inactive_connection_lifetime=0,
        connection_class=_Connection,
        init=None if address.pooled else prepare,
        **address.options,
    )


class PostgresStore:
    """Any number of servers may share the database; each hears of the others' changes."""

    writes_alone = False

    def __init__(
        self,
        keyed: asyncpg.Pool[Any],
        scanning: asyncpg.Pool[Any],
        address: Address,
        identity: str,
        redis: Redis | None = None,
    ) -> None:
        self.signals, self.changes = LocalSignals(), Changes()
        self.identity = identity
        self._keyed, self._scanning = keyed, scanning
        self._url = address.url
        self._announcements = Announcements(address, self.signals, identity, redis)
        self._writer = Writer(keyed, self._announcements, self.changes, arrays=not address.pooled)
        self._horizon = Horizon(keyed)
        self._long: set[type] = set()
        """Queries that take several statements."""

    @classmethod
    async def open(cls, url: str, redis: Redis | None = None) -> PostgresStore:
        """Connect and bring the schema up to date; `redis` wakes servers too. Raises StoreUnusable."""
        address = Address.of(url)
        await migrate(address)
        named = await identity(address)
        keyed = await _pool(address, _MOST_KEYED, _ONE_BY_ONE)
        return cls(keyed, await _pool(address, _MOST_SCANNING, _BY_INDEX), address, named, redis)

    async def generation(self) -> str:
        """Return PostgreSQL's name for what can be seen at the moment: the same name, the same contents."""
        try:
            return str(await self._keyed.fetchval("SELECT pg_current_snapshot()::text"))
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
        return await self._ask(self._keyed, query)

    async def scan(self, query: Operation[T]) -> T:
        """Answer a list or an aggregate."""
        return await self._ask(self._scanning, query)

    async def _ask(self, pool: asyncpg.Pool[Any], query: Operation[T]) -> T:
        try:
            async with pool.acquire() as connection:
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

    async def horizon(self) -> int:
        """Return the highest number below which no transaction can still add an event."""
        try:
            return await self._horizon.advance()
        except FAILURES as error:
            raise explain(error) from error

    def announce(self, topics: Sequence[str]) -> None:
        """Wake whoever waits for `topics`, here at once, at other servers within moments."""
        self._announcements.tell(self._keyed, topics)

    def connections(self) -> Connections:
        """Say how many connections of the pool there are; the one that listens is not of it."""
        pools, name = (self._keyed, self._scanning), urlsplit(self._url).path.removeprefix("/")
        idle, most = sum(pool.get_idle_size() for pool in pools), sum(pool.get_max_size() for pool in pools)
        return Connections("postgresql", name, sum(pool.get_size() for pool in pools) - idle, idle, most)

    async def size(self) -> int:
        """Return the bytes of the database with its indexes."""
        try:
            return int(await self._keyed.fetchval("SELECT pg_database_size(current_database())"))
        except FAILURES as error:
            raise explain(error) from error

    async def close(self) -> None:
        """Write what waits, then let go of the database."""
        await self._writer.close()
        await self._announcements.close()
        for pool in (self._keyed, self._scanning):
            with contextlib.suppress(*FAILURES):
                await asyncio.wait_for(pool.close(), 5)
