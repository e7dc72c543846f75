"""Tallies by labels, and the families of series that a scrape makes of them.

One tally often feeds several families, which have other labels and other bounds. So tallies are kept with every label that
any of them has and with the bounds of all, and each family sums what it does not tell apart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

T = TypeVar("T")
Labels = tuple[str, ...]

LIMIT = 1000
"""Most label sets of one kind of tally with values that users choose. What comes later is counted under `OTHER`, so that
nobody can fill the server's memory, or the scrape, by making up names."""
LONGEST = 128
"""Most characters of such a value; a longer one is counted under `OTHER`."""
OTHER = "other"

OTEL_BOUNDS = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)
"""The default bounds of OpenTelemetry's histograms."""


def edges_of(*bounds: Sequence[float]) -> tuple[float, ...]:
    """Return the edges of a tally from which histograms with any of these bounds can be made."""
    return tuple(sorted({bound for each in bounds for bound in each}))


class Distribution:
    """How many values lie up to each edge and above the one before (last: above all), and their sum."""

    __slots__ = ("counts", "edges", "total")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.edges, value)] += 1
        self.total += value


class Tallies(Generic[T]):
    """A tally for each set of labels: those that the program fixes, and those that users choose.

    Only the event loop adds; any thread may read.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._tallies: dict[tuple[Any, Labels], T] = {}

    def of(self, fixed: Any, chosen: Labels) -> T:
        """Return the tally of these labels."""
        found = self._tallies.get((fixed, chosen))
        return found if found is not None else self._another(fixed, chosen)

    def _another(self, fixed: Any, chosen: Labels) -> T:
        if len(self._tallies) >= LIMIT or any(len(value) > LONGEST for value in chosen):
            chosen = (OTHER,) * len(chosen)
        return self._tallies.setdefault((fixed, chosen), self._make())

    def __iter__(self) -> Iterator[tuple[Any, Labels, T]]:
        # The list is made in one step, so that the loop may go on counting meanwhile.
        return ((fixed, chosen, tally) for (fixed, chosen), tally in list(self._tallies.items()))


def counter(name: str, text: str, labels: Sequence[str], entries: Iterable[tuple[Labels, float]]) -> CounterMetricFamily:
    """Return a counter; entries with the same labels are summed."""
    sums: dict[Labels, float] = {}
    for values, n in entries:
        sums[values] = sums.get(values, 0) + n
    family = CounterMetricFamily(name, text, labels=labels)
    for values, n in sums.items():
        family.add_metric(values, n)
    return family


def histogram(
    name: str, text: str, labels: Sequence[str], bounds: Sequence[float], entries: Iterable[tuple[Labels, Distribution]]
) -> HistogramMetricFamily:
    """Return a histogram with `bounds`, all of them edges of the distributions; entries with the same labels are summed."""
    sums: dict[Labels, tuple[tuple[float, ...], list[int], float]] = {}
    for values, one in entries:
        _, counts, total = sums.get(values, (one.edges, [0] * len(one.counts), 0.0))
        sums[values] = one.edges, [a + b for a, b in zip(counts, one.counts, strict=True)], total + one.total
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, (edges, counts, total) in sums.items():
        below = list(accumulate(counts))
        buckets = [(f"{bound:g}", below[edges.index(bound)]) for bound in bounds]
        family.add_metric(values, [*buckets, ("+Inf", below[-1])], total)
    return family
