"""The server's own metrics, in Prometheus' text format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counts requests by route and status, and shows what the store knows of jobs and runs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "assay_http_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self._duration = Histogram(
            "assay_http_request_duration_seconds",
            "Time from request to the start of the answer.",
            ["route", "method"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.active = Gauge("assay_http_active_requests", "Requests being answered.", registry=self.registry)
        self._jobs = Gauge("assay_jobs", "Jobs by state.", ["state"], registry=self.registry)
        self._runs = Gauge("assay_runs", "Runs that have not ended, by state.", ["state"], registry=self.registry)
        # Looking a labelled child up costs more than counting, so children are kept.
        self._counted: dict[tuple[str, str, int], Counter] = {}
        self._timed: dict[tuple[str, str], Histogram] = {}

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        counter = self._counted.get((route, method, status))
        if counter is None:
            counter = self._counted[route, method, status] = self._requests.labels(route, method, str(status))
        counter.inc()
        timer = self._timed.get((route, method))
        if timer is None:
            timer = self._timed[route, method] = self._duration.labels(route, method)
        timer.observe(seconds)

    def render(self, jobs: dict[str, int], runs: dict[str, int]) -> bytes:
        """Return the scrape, with the store's counts in it."""
        self._jobs.clear()
        self._runs.clear()
        for state, n in jobs.items():
            self._jobs.labels(state).set(n)
        for state, n in runs.items():
            self._runs.labels(state).set(n)
        return generate_latest(self.registry)
