"""Bans of addresses that send wrong keys again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

FORGIVEN_AFTER_S = 3600.0
"""An address that has behaved for so long (and for as long as its last ban) begins anew."""
MOST_ADDRESSES = 10_000
"""Most addresses in memory; those that failed longest ago go first."""


@dataclass
class _Record:
    failures: int
    bans: int
    until: float
    failed: float


class Bans:
    """`after` failures ban an address for `first_s` seconds; each further ban is twice as long, up to `longest_s`.

    In the memory of one server, bounded. `after` 0: never.
    """

    def __init__(
        self,
        after: int,
        first_s: float,
        longest_s: float,
        clock: Callable[[], float] = time.monotonic,
        most: int = MOST_ADDRESSES,
    ) -> None:
        self._after, self._first_s, self._longest_s, self._clock, self._most = after, first_s, longest_s, clock, most
        self._records: dict[str, _Record] = {}
        """By address, the one that failed last at the end."""

    @property
    def any(self) -> bool:
        """Whether it is worth asking about an address."""
        return bool(self._records)

    def left(self, address: str) -> float:
        """Return the seconds that the ban of an address goes on; 0 if it is not banned."""
        record = self._records.get(address)
        return max(0.0, record.until - self._clock()) if record else 0.0

    def failed(self, address: str) -> float:
        """Note a wrong key; return the seconds of the ban that follows, 0 for none."""
        if not self._after:
            return 0.0
        now = self._clock()
        record = self._records.pop(address, None)
        if record is None or now > max(record.failed, record.until) + max(FORGIVEN_AFTER_S, self._ban_s(record.bans)):
            record = _Record(0, 0, 0.0, now)
        record.failures += 1
        record.failed = now
        banned = 0.0
        if record.failures >= self._after:
            record.bans += 1
            record.failures = 0
            banned = self._ban_s(record.bans)
            record.until = now + banned
        self._records[address] = record
        if len(self._records) > self._most:
            del self._records[next(iter(self._records))]
        return banned

    def ban(self, address: str, seconds: float) -> None:
        """Let the ban of an address that has failed go on for so long at least, up to the longest."""
        record, now = self._records.get(address), self._clock()
        if record is None:
            return
        if record.until <= now:
            record.bans += 1
            record.failures = 0
        record.until = max(record.until, now + min(seconds, self._longest_s))

    async def close(self) -> None:
        """Nothing to let go of."""

    def _ban_s(self, number: int) -> float:
        # The shift is bounded, so that years of bans make no number of a million digits.
        return min(self._first_s * (1 << min(number - 1, 40)), self._longest_s) if number else 0.0
