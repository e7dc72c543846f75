"""The server's own metrics, in Prometheus' text format."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Tally:
    """The requests of one route and method that were answered with one status."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_BUCKETS) + 1)
        """How many took no longer than each bound of `_BUCKETS` and longer than the one before; last, all others."""
        self.seconds = 0.0


class _Requests(Collector):
    """Requests by route, method and status. Only the event loop counts, so no lock is needed."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str, int], _Tally] = {}

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        tally = self._tallies.get((route, method, status))
        if tally is None:
            tally = self._tallies[route, method, status] = _Tally()
        tally.buckets[bisect_left(_BUCKETS, seconds)] += 1
        tally.seconds += seconds

    def collect(self) -> Iterator[Metric]:
        count = CounterMetricFamily("assay_http_requests", "Requests answered.", labels=["route", "method", "status"])
        duration = HistogramMetricFamily(
            "assay_http_request_duration_seconds", "Time from request to the end of the answer.", labels=["route", "method"]
        )
        timed: dict[tuple[str, str], _Tally] = {}
        for (route, method, status), tally in self._tallies.items():
            count.add_metric([route, method, str(status)], sum(tally.buckets))
            both = timed.setdefault((route, method), _Tally())
            both.buckets = [a + b for a, b in zip(both.buckets, tally.buckets, strict=True)]
            both.seconds += tally.seconds
        for labels, tally in timed.items():
            bounds = [*map(str, _BUCKETS), "+Inf"]
            duration.add_metric(labels, list(zip(bounds, accumulate(tally.buckets), strict=True)), tally.seconds)
        yield count
        yield duration


class Metrics:
    """Counts requests by route and status, and shows what the store knows of jobs and runs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        requests = _Requests()
        self.registry.register(requests)
        self.observe = requests.observe
        """Count one answered request: its route, method, status and how many seconds it took."""
        self.active = Gauge("assay_http_active_requests", "Requests being answered.", registry=self.registry)
        self._jobs = Gauge("assay_jobs", "Jobs by state.", ["state"], registry=self.registry)
        self._runs = Gauge("assay_runs", "Runs that have not ended, by state.", ["state"], registry=self.registry)

    def render(self, jobs: dict[str, int], runs: dict[str, int]) -> bytes:
        """Return the scrape, with the store's counts in it."""
        self._jobs.clear()
        self._runs.clear()
        for state, n in jobs.items():
            self._jobs.labels(state).set(n)
        for state, n in runs.items():
            self._runs.labels(state).set(n)
        return generate_latest(self.registry)
