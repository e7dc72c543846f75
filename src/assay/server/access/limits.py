"""How often a caller may call: a token bucket for each caller and cost class.

A bucket holds at most `burst` tokens and gains `per_second` of them; a call takes one. `Limiter` is what the gate knows, so
that the buckets may also be kept where several servers share them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from assay.config.rates import Rate
from assay.model.access import Cost

MOST_BUCKETS = 50_000
"""Most buckets in memory. Those that were used longest ago go first; one that was dropped begins full again."""


class Taken(NamedTuple):
    """What came of taking a token. `remaining`: whole tokens left; `retry_s`: seconds until there is one, 0 if allowed."""

    allowed: bool
    rate: Rate
    remaining: int
    retry_s: float


class Limiter(Protocol):
    """Where the buckets are kept."""

    async def take(self, caller: str, cost: Cost) -> Taken | None:
        """Take a token from the bucket of a caller for a cost class; None where the class has no limit.

        Never raises: where the buckets cannot be reached the call is allowed (None) or counted otherwise.
        """
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


class MemoryLimiter:
    """Buckets in the memory of this process."""

    def __init__(
        self, rates: Mapping[Cost, Rate], clock: Callable[[], float] = time.monotonic, most: int = MOST_BUCKETS
    ) -> None:
        self._rates, self._clock, self._most = rates, clock, most
        self._buckets: dict[tuple[str, Cost], tuple[float, float]] = {}
        """Tokens and the time at which there were so many, the bucket used last at the end."""

    async def take(self, caller: str, cost: Cost) -> Taken | None:
        """Take a token."""
        rate = self._rates.get(cost)
        if rate is None:
            return None
        key, now = (caller, cost), self._clock()
        before = self._buckets.pop(key, None)
        tokens = float(rate.burst) if before is None else min(rate.burst, before[0] + (now - before[1]) * rate.per_second)
        allowed = tokens >= 1
        if allowed:
            tokens -= 1
        self._buckets[key] = (tokens, now)
        if len(self._buckets) > self._most:
            del self._buckets[next(iter(self._buckets))]
        return Taken(allowed, rate, int(tokens), 0.0 if allowed else (1 - tokens) / rate.per_second)

    async def close(self) -> None:
        """Nothing to let go of."""


def headers(cost: Cost, taken: Taken) -> list[tuple[bytes, bytes]]:
    """Return the fields that tell a client where it stands (draft-ietf-httpapi-ratelimit-headers, revision 10).

    `q` tokens in `w` seconds; `r` are left, and the bucket is full again after `t` seconds.
    """
    rate = taken.rate
    window = math.ceil(rate.burst / rate.per_second)
    full = math.ceil((rate.burst - taken.remaining) / rate.per_second)
    return [
        (b"ratelimit-policy", b'"%s";q=%d;w=%d' % (cost.encode(), rate.burst, window)),
        (b"ratelimit", b'"%s";r=%d;t=%d' % (cost.encode(), taken.remaining, full)),
    ]
