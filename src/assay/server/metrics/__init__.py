"""The server's metrics, in Prometheus' text format: its own names, and EvalHub's for dashboards that know those.

`requests` counts what is answered, `transitions` what becomes of jobs and runs, `gauges` shows what the database holds at
the moment of the scrape. Counting is done on the event loop, at a few dictionary look-ups an event; whatever is grouped,
summed or named is done for the scrape, in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from assay.server.metrics import gauges, redis
from assay.server.metrics.gauges import Standing
from assay.server.metrics.requests import Requests
from assay.server.metrics.transitions import Transitions

if TYPE_CHECKING:  # its library is an extra
    from assay.redis import Redis

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
"""What a scrape is; every name is of letters and underscores already."""


class Metrics:
    """Everything that one server process counts. `url` is where it listens, `connection` its Redis if it uses one."""

    def __init__(self, url: str, connection: Redis | None = None) -> None:
        self.requests = Requests(url)
        self.transitions = Transitions()
        self._redis = connection
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)

    def render(self, standing: Standing) -> bytes:
        """Return the scrape, with what the store holds in it. May run in any thread."""
        return generate_latest(_Scrape(self, standing))

    def families(self, standing: Standing) -> Iterator[Metric]:
        """Return every metric with its samples."""
        yield from self._process.collect()
        yield from self.requests.collect()
        yield from self.transitions.collect()
        yield from gauges.collect(standing)
        yield from redis.collect(self._redis)


class _Scrape(Collector):
    def __init__(self, metrics: Metrics, standing: Standing) -> None:
        self._metrics, self._standing = metrics, standing

    def collect(self) -> Iterator[Metric]:
        return self._metrics.families(self._standing)
