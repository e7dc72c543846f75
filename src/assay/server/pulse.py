"""The server's pulse: whether its store answers and takes what is written."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from assay import __version__
from assay.build import commit
from assay.model.errors import AssayError
from assay.scheduler.identifiers import now, rfc3339
from assay.server.respond import JsonResponse, json_response
from assay.store.base import Store
from assay.store.leases import ProveWriting
from assay.store.queries import Due

if TYPE_CHECKING:  # its library is an extra
    from assay.redis import Redis


class Pulse:
    """What the store last said of itself: asked by the first who wants to know, and kept for `KEPT_S` for everybody else.

    A probe is answered out of memory under any load; only good news is kept.
    """

    KEPT_S = 0.25

    def __init__(self, store: Store, redis: Redis | None = None) -> None:
        self._store, self._redis = store, redis
        self._asked: asyncio.Task[JsonResponse] | None = None
        self._until = 0.0

    def kept(self) -> JsonResponse | None:
        """Return the answer to a question after the server's health, if it need not be asked for."""
        asked = self._asked
        if asked is None or not asked.done() or self._store.failure or time.monotonic() >= self._until:
            return None
        return asked.result()

    async def take(self) -> JsonResponse:
        """Return the answer to a question after the server's health."""
        if self._asked is None or (self._asked.done() and self.kept() is None):
            self._asked = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asked)

    async def _ask(self) -> JsonResponse:
        body = {"status": "healthy", "timestamp": rfc3339(now()), "build": __version__} | known_commit()
        self._until = 0.0
        try:
            await self._store.lookup(Due())
            if self._store.failure is not None:
                await self._store.apply(ProveWriting(now()), urgent=True)
        except AssayError as error:
            return json_response(body | {"status": "unhealthy", "checks": {"store": error.message}}, 503)
        self._until = time.monotonic() + self.KEPT_S
        checks = {"store": "ok"}
        if self._redis is not None:  # without it the server is as healthy as with it
            checks["redis"] = "ok" if self._redis.connected else "away"
        return json_response(body | {"checks": checks, "pid": os.getpid()})


def known_commit() -> dict[str, str]:
    """Return the member that names the commit this server was installed from, if that is known."""
    return {"git_hash": found} if (found := commit()) else {}
