"""How the connection to Redis does; without samples where no Redis is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:  # its library is an extra
    from assay.redis import Redis


def collect(redis: Redis | None) -> Iterator[Metric]:
    """Return the families of series."""
    connected = GaugeMetricFamily("assay_redis_connected", "Whether Redis answers.", labels=())
    errors = CounterMetricFamily("assay_redis_errors", "Calls of Redis that failed, and lost connections.", labels=())
    if redis is not None:
        connected.add_metric((), int(redis.connected))
        errors.add_metric((), redis.errors)
    yield connected
    yield errors
