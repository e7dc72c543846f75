"""Bans that the servers of one database share: each tells the others of every wrong key, over Redis, and all count alike.

Nothing is kept in Redis, and nobody waits for it: a ban is looked up in this server's own memory. While Redis is away each
server counts what comes to it. A server that has just started learns of what comes from then on.
"""

from __future__ import annotations

import logging
import secrets

import msgspec

from assay.redis import Channel, Redis
from assay.server.access.bans import Bans

log = logging.getLogger(__name__)


class _Failure(msgspec.Struct, array_like=True, frozen=True):
    """What a server tells: who it is, whose key was wrong, and for how many seconds it has banned that address for it."""

    server: str
    address: str
    banned_s: float


_read = msgspec.json.Decoder(_Failure)


class SharedBans(Bans):
    """Bans that others hear of, and that they may begin. `identity` is the name that the database has at every server."""

    def __init__(self, redis: Redis, identity: str, after: int, first_s: float, longest_s: float) -> None:
        super().__init__(after, first_s, longest_s)
        self._server = secrets.token_hex(8)
        self._channel = Channel(redis, f"assay:{identity}:bans", self._heard, lambda: None)

    def failed(self, address: str) -> float:
        """Note a wrong key, here and at the others; return the seconds of the ban that follows, 0 for none."""
        banned_s = super().failed(address)
        self._channel.send(msgspec.json.encode(_Failure(self._server, address, banned_s)).decode())
        return banned_s

    def _heard(self, message: bytes) -> None:
        try:
            told = _read.decode(message)
        except msgspec.MsgspecError:
            log.debug("something else than a wrong key is told on the channel of bans")
            return
        if told.server == self._server:
            return
        # What was told while Redis was away has been missed here, so the other's count may be further.
        if told.banned_s > super().failed(told.address):
            self.ban(told.address, told.banned_s)

    async def close(self) -> None:
        """Tell and hear no more."""
        await self._channel.close()
