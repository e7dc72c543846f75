"""How fast a queue hands its work out and takes it back: what is counted, and by whom it is asked."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.servers import cpu_s


@dataclass(frozen=True)
class Pace:
    """What one turn gave. Latencies are in milliseconds; CPU in microseconds for one run, taken and ended."""

    runs: int
    per_second: float
    claim_p50_ms: float
    claim_p99_ms: float
    end_p50_ms: float
    end_p99_ms: float
    own_cpu_us: float
    """Of the process that takes and ends."""
    server_cpu_us: float
    """Of the database's processes; 0 where there are none."""


class Watch:
    """Times the claims and the ends of one turn of so many runs. The turn begins with the first claim."""

    def __init__(self, runs: int, pids: Callable[[], Iterable[int]] = tuple) -> None:
        self.runs = runs
        """How many are to be taken and ended in this turn."""
        self.ended = 0
        self._pids = pids
        self._claims: list[float] = []
        self._ends: list[float] = []
        self._began = self._last = 0.0
        self._own = self._server = 0.0

    def begin(self) -> float:
        """Return the time, and make the first call's the beginning of the turn."""
        if not self._began:
            self._own, self._server = time.process_time(), cpu_s(self._pids())
            self._began = time.perf_counter()
        return time.perf_counter()

    def claimed(self, since: float) -> float:
        """Note a claim that was asked for at `since`; return the time."""
        now = time.perf_counter()
        self._claims.append(now - since)
        return now

    def finished(self, since: float, runs: int = 1) -> bool:
        """Note that `runs` were ended by a call made at `since`; say whether the turn is over."""
        self._last = time.perf_counter()
        self._ends.append(self._last - since)
        self.ended += runs
        if self.ended < self.runs:
            return False
        if self.ended - runs < self.runs:
            self._own, self._server = time.process_time() - self._own, cpu_s(self._pids()) - self._server
        return True

    def pace(self) -> Pace:
        """Return what the turn gave, once it is over."""
        return Pace(
            self.ended,
            self.ended / (self._last - self._began),
            quantile(self._claims, 0.5) * 1e3,
            quantile(self._claims, 0.99) * 1e3,
            quantile(self._ends, 0.5) * 1e3,
            quantile(self._ends, 0.99) * 1e3,
            self._own / self.ended * 1e6,
            self._server / self.ended * 1e6,
        )


class Contender(Protocol):
    """A queue under measurement."""

    async def fill(self, runs: int) -> None:
        """Queue at least so many runs that do nothing."""
        ...

    async def drain(self, workers: int, watch: Watch, batch: int = 1) -> None:
        """Take and end as many runs as `watch` asks for, `workers` at a time, each `batch` runs with one call if it can."""
        ...

    def pids(self) -> Iterable[int]:
        """Return the processes of its database."""
        ...


async def turn(contender: Contender, workers: int, runs: int, batch: int = 1) -> Pace:
    """Give a contender its turn, with a queue that has been filled before."""
    await contender.fill(runs)
    watch = Watch(runs, contender.pids)
    await contender.drain(workers, watch, batch)
    return watch.pace()


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all are not above."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def middle(paces: Sequence[Pace]) -> Pace:
    """Return the median of each figure."""
    runs, *figures = (statistics.median(column) for column in zip(*(vars(pace).values() for pace in paces), strict=True))
    return Pace(round(runs), *figures)


def progress(text: str) -> None:
    """Tell whoever waits for the tables how far it is."""
    print(f"  {text}", file=sys.stderr, flush=True)
