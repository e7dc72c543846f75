"""What servers on one database tell one another: that a topic has changed.

There are two routes, and a server that is given both uses both: NOTIFY in the transaction that makes the change, and a Redis
channel once it is committed. Each message has a name of its own, so what comes by both counts once.

A message wakes, it carries no state, and it may be lost: whoever waits here is woken for everything when a route stands
again, looks at the store, and waits again; and no wait is without an end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import asyncpg

from assay.store.base import Statement
from assay.store.postgres.address import Address
from assay.store.postgres.connection import FAILURES
from assay.store.postgres.listening import Listener
from assay.store.signals import LocalSignals

if TYPE_CHECKING:  # its library is an extra
    from assay.redis import Redis

log = logging.getLogger(__name__)

_CHANNEL = "assay"
_LONGEST = 7000
"""Bytes of topics in one message; PostgreSQL takes 8000 in all."""
_REMEMBERED = 4096
"""Messages by whose names a second copy is known."""
_MOMENT_S = 0.1
"""What is told outside of a transaction is told at most so often."""


class Announcements:
    """Tells and hears the other servers for as long as it is open.

    `identity` is a name that the database has at every server. Over a pooled address there is no NOTIFY.
    """

    def __init__(self, address: Address, signals: LocalSignals, identity: str, redis: Redis | None = None) -> None:
        self._signals = signals
        self._untold: set[str] = set()
        self._teller: asyncio.Task[None] | None = None
        self._name, self._count = secrets.token_hex(4), 0
        self._heard_of: dict[str, None] = {}
        self._listener = self._channel = None
        if not address.pooled:
            self._listener = Listener(address, _CHANNEL, self._heard, signals.announce_all)
        if redis is not None:
            from assay.redis import Channel

            self._channel = Channel(redis, f"assay:{identity}:changes", self._heard, signals.announce_all)
        if not (self._listener or self._channel):
            log.warning(
                "servers do not hear one another through a pooler without Redis: waits at one for what another does last to "
                "their end (name a Redis with --redis)"
            )

    def messages(self, topics: set[str]) -> list[str]:
        """Return what to send about the transaction that changes `topics`."""
        return list(self._messages(topics)) if self._listener or self._channel else []

    def statement(self, messages: list[str]) -> Statement | None:
        """Return what tells the other servers, once the transaction in which it is executed is committed; None: nothing."""
        if not self._listener or not messages:
            return None
        every = [{"channel": _CHANNEL, "message": message} for message in messages]
        return Statement("notify", {}, "SELECT pg_notify(:channel, :message)", every)

    async def send(self, connection: Any, messages: list[str]) -> None:
        """Tell the other servers, once the transaction of `connection` is committed."""
        if self._listener:
            for message in messages:
                await connection.execute("SELECT pg_notify($1, $2)", _CHANNEL, message)

    def announce(self, topics: set[str], messages: list[str]) -> None:
        """Wake whoever waits for `topics`, in this process and elsewhere: the transaction is committed."""
        self._signals.announce(topics)
        if self._channel:
            for message in messages:
                self._channel.send(message)

    def tell(self, pool: asyncpg.Pool[Any], topics: Iterable[str]) -> None:
        """Wake whoever waits for `topics`: here at once, at the other servers too unless they were told a moment ago.

        For what no transaction changes; NOTIFY goes over a connection of `pool`. Whoever was told a moment ago is
        told again when the moment is over, of everything that has come together: however much happens, messages are few.
        """
        self._signals.announce(set(topics))
        self._untold.update(topics)
        if self._teller is None:
            self._teller = asyncio.create_task(self._tell(pool))

    async def close(self) -> None:
        """Stop telling and listening."""
        if self._teller is not None:
            self._teller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._teller
        for route in (self._listener, self._channel):
            if route:
                await route.close()

    async def _tell(self, pool: asyncpg.Pool[Any]) -> None:
        """Send what there is to tell, and go on until nothing has come for a moment."""
        try:
            while self._untold:
                topics, self._untold = self._untold, set()
                messages = self.messages(topics)
                if self._listener:
                    try:
                        async with pool.acquire() as connection:
                            await self.send(connection, messages)
                    except FAILURES as error:  # who misses it looks again of itself after a while
                        log.debug("other servers were not told: %s", type(error).__name__)
                self.announce(set(), messages)
                await asyncio.sleep(_MOMENT_S)
        finally:
            self._teller = None

    def _messages(self, topics: set[str]) -> Iterator[str]:
        parcel: list[str] = []
        size = 0
        for topic in sorted(topics):
            if size + len(topic) > _LONGEST:
                yield self._message(parcel)
                parcel, size = [], 0
            parcel.append(topic)
            size += len(topic) + 4
        if parcel:
            yield self._message(parcel)

    def _message(self, topics: list[str]) -> str:
        self._count += 1
        return json.dumps([f"{self._name}.{self._count}", *topics])

    def _heard(self, payload: str | bytes) -> None:
        try:
            name, *topics = json.loads(payload)
            ours = name.partition(".")[0] == self._name  # announced without this way round
        except (ValueError, TypeError, AttributeError):
            return  # whoever sent that is no server of this database
        if ours or name in self._heard_of:
            return
        self._heard_of[name] = None
        if len(self._heard_of) > _REMEMBERED:
            del self._heard_of[next(iter(self._heard_of))]
        self._signals.announce(topic for topic in topics if isinstance(topic, str))
