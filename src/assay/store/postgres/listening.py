"""Hears NOTIFY from other servers on a connection of its own, for as long as it is open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import asyncpg

from assay import eventloop
from assay.store.postgres.address import Address
from assay.store.postgres.connection import FAILURES

log = logging.getLogger(__name__)

_PAUSE_S = 1.0
_QUIET_S = 15.0
"""After so long it is tried whether the connection still carries anything."""


class Listener:
    """Calls `heard` with each message on `channel`, and `again` whenever it begins to listen. Neither may raise."""

    def __init__(self, address: Address, channel: str, heard: Callable[[str], None], again: Callable[[], None]) -> None:
        self._address, self._channel = address, channel
        self._heard, self._again = heard, again
        self._task = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Stop listening."""
        await eventloop.end(self._task)

    async def _listen(self) -> None:
        """Hear what other servers announce; connect again whenever the connection is lost."""
        while True:
            try:
                connection = await asyncpg.connect(self._address.url, **self._address.options)
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
        await connection.add_listener(self._channel, self._told)
        self._again()
        while not lost.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lost.wait(), _QUIET_S)
                return
            await connection.execute("SELECT 1")

    def _told(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        self._heard(str(payload))
