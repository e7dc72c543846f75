"""What servers on one database tell one another: that a topic has changed, by NOTIFY and LISTEN.

A message wakes, it carries no state, and it may be lost while a connection is: whoever waits here is then woken for
everything, looks at the store, and waits again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Iterator
from typing import Any

import asyncpg

from assay.store.postgres.connection import FAILURES, OPTIONS
from assay.store.signals import LocalSignals

log = logging.getLogger(__name__)

_CHANNEL = "assay"
_LONGEST = 7000
"""Bytes of topics in one message; PostgreSQL takes 8000 in all."""
_PAUSE_S = 1.0
_QUIET_S = 15.0
"""After so long it is tried whether the connection still carries anything."""


class Announcements:
    """Hears the other servers for as long as it is open."""

    def __init__(self, url: str, signals: LocalSignals) -> None:
        self._url, self._signals = url, signals
        self._name = secrets.token_hex(4)
        self._task = asyncio.create_task(self._listen())

    def messages(self, topics: set[str]) -> Iterator[str]:
        """Yield what to send in the transaction that changes `topics`."""
        parcel: list[str] = []
        size = 0
        for topic in sorted(topics):
            if size + len(topic) > _LONGEST:
                yield json.dumps([self._name, *parcel])
                parcel, size = [], 0
            parcel.append(topic)
            size += len(topic) + 4
        if parcel:
            yield json.dumps([self._name, *parcel])

    async def send(self, connection: Any, topics: set[str]) -> None:
        """Tell the other servers, once the transaction of `connection` is committed."""
        for message in self.messages(topics):
            await connection.execute("SELECT pg_notify($1, $2)", _CHANNEL, message)

    def announce(self, topics: set[str]) -> None:
        """Wake whoever waits for `topics` in this process."""
        self._signals.announce(topics)

    async def close(self) -> None:
        """Stop listening."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _listen(self) -> None:
        """Hear what other servers announce; connect again whenever the connection is lost."""
        while True:
            try:
                connection = await asyncpg.connect(self._url, **OPTIONS)
                try:
                    await self._hear(connection)
                finally:
                    connection.terminate()
            except FAILURES as error:
                log.debug("announcements of other servers are not heard: %s", type(error).__name__)
            except Exception:  # whatever it is: without this every wait would last to its end
                log.exception("announcements of other servers are not heard")
            await asyncio.sleep(_PAUSE_S)

    async def _hear(self, connection: Any) -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(_CHANNEL, self._heard)
        self._signals.announce_all()  # what was said before is lost
        while not lost.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lost.wait(), _QUIET_S)
                return
            await connection.execute("SELECT 1")

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        sender, *topics = json.loads(str(payload))
        if sender != self._name:  # our own are announced without this way round
            self._signals.announce(topics)
