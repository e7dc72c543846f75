"""When a model request is repeated, and after how long; pure rules."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRYABLE_STATUS = frozenset({429, 500, 502, 503, 504})
# With a Retry-After, these ask everybody to wait: they pause the endpoint for all runs.
PAUSING_STATUS = frozenset({429, 503})


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential back-off with full second-half jitter; all times in seconds.

    `max_timeouts` bounds the attempts that may end in the route's time-out: each has already waited very
    long.
    """

    attempts: int = 6
    base_s: float = 0.25
    factor: float = 2.0
    max_s: float = 8.0
    max_retry_after_s: float = 60.0
    max_timeouts: int = 2

    def delay(self, failures: int, retry_after: float | None, rng: random.Random) -> float:
        """Wait after that many failed attempts (>= 1): at least what the endpoint asked for, capped."""
        backoff = min(self.max_s, self.base_s * self.factor ** (failures - 1)) * rng.uniform(0.5, 1.0)
        return max(backoff, min(retry_after or 0.0, self.max_retry_after_s))


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds asked for by `retry-after-ms` or `Retry-After` (seconds or a date); None without either."""
    for name, unit in (("retry-after-ms", 0.001), ("Retry-After", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        at = parsedate_to_datetime(headers.get("Retry-After", ""))
    except (ValueError, TypeError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())
