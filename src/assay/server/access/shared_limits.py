"""Buckets that the servers of one database share in Redis, so that a caller has one rate however many servers there are."""

from __future__ import annotations

from collections.abc import Mapping

from assay.config.rates import Rate
from assay.model.access import Cost
from assay.redis import Buckets, Redis
from assay.server.access.limits import MemoryLimiter, Taken


class SharedLimiter:
    """Buckets in Redis; while it is away, those of this process, which then begin full.

    `identity` is the name that the database has at every server.
    """

    def __init__(self, redis: Redis, identity: str, rates: Mapping[Cost, Rate]) -> None:
        self._rates = rates
        self._shared, self._own = Buckets(redis, f"assay:{identity}:rate:"), MemoryLimiter(rates)

    async def take(self, caller: str, cost: Cost) -> Taken | None:
        """Take a token."""
        rate = self._rates.get(cost)
        if rate is None:
            return None
        drawn = await self._shared.take(f"{cost}:{caller}", rate.per_second, rate.burst)
        if drawn is None:
            return await self._own.take(caller, cost)
        return Taken(drawn.allowed, rate, int(drawn.tokens), drawn.retry_s)

    async def close(self) -> None:
        """Nothing to let go of: the connection is the server's."""
