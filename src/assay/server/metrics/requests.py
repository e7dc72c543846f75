"""Requests by route, method, status and tenant."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from assay.server.metrics.series import (
    OTEL_BOUNDS,
    Distribution,
    Labels,
    Tallies,
    counter,
    edges_of,
    histogram,
)

NOT_FOUND = "not_found"
"""Stands for the route of a request that has none."""
OTHER_METHOD = "other"
"""Stands for methods that HTTP does not know. OpenTelemetry writes `_OTHER`."""

_OWN_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_HTTP_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_API_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SECONDS = edges_of(_OWN_BOUNDS, _HTTP_BOUNDS, _API_BOUNDS, OTEL_BOUNDS)

_API_LABELS = ("method", "endpoint", "provider", "collection")
_HTTP_LABELS = (
    "http_request_method",
    "http_response_status_code",
    "http_route",
    "network_protocol_name",
    "network_protocol_version",
    "server_address",
    "server_port",
    "url_scheme",
)


_UNSETTLED = 256
"""Most answers that are noted and not counted yet: together they take a fifth of the time that each would take by itself."""


class _Tally:
    __slots__ = ("received", "seconds", "sent")

    def __init__(self) -> None:
        self.seconds = Distribution(_SECONDS)
        self.received = Distribution(OTEL_BOUNDS)
        self.sent = Distribution(OTEL_BOUNDS)


class Requests:
    """Counts requests. `url` is where the server listens."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._scheme = parts.scheme
        self._server = (parts.hostname or "", str(parts.port or ""))
        self._tallies = Tallies(_Tally)
        self._unsettled: deque[tuple[str, str, int, float, str, str, int, int]] = deque()
        self._settling = threading.Lock()
        self.active: Counter[str] = Counter()
        """How many requests are being answered, by method."""

    def observe(
        self, route: str, method: str, status: int, seconds: float, tenant: str, version: str, received: int, sent: int
    ) -> None:
        """Note an answered request: how long it took, and the bytes of its body and of the answer's."""
        self._unsettled.append((route, method, status, seconds, tenant, version, received, sent))
        if len(self._unsettled) >= _UNSETTLED:
            self._settle()

    def _settle(self) -> None:
        """Count what has been noted. A scrape does it too, in a thread."""
        with self._settling:
            for _ in range(len(self._unsettled)):
                route, method, status, seconds, tenant, version, received, sent = self._unsettled.popleft()
                tally = self._tallies.of((route, method, status, version), (tenant,))
                tally.seconds.add(seconds)
                tally.received.add(received)
                tally.sent.add(sent)

    def collect(self) -> Iterator[Metric]:
        """Return the families of series."""
        self._settle()
        tallies = [(*fixed, *chosen, tally) for fixed, chosen, tally in self._tallies]
        yield counter(
            "assay_http_requests",
            "Requests answered.",
            ("route", "method", "status"),
            (((route, method, str(status)), sum(t.seconds.counts)) for route, method, status, _, _, t in tallies),
        )
        yield histogram(
            "assay_http_request_duration_seconds",
            "Time from request to the end of the answer.",
            ("route", "method"),
            _OWN_BOUNDS,
            (((route, method), t.seconds) for route, method, _, _, _, t in tallies),
        )
        active = list(self.active.items())
        own = GaugeMetricFamily("assay_http_active_requests", "Requests being answered.", sum(n for _, n in active))
        yield own
        yield from self._http(tallies)
        http = GaugeMetricFamily(
            "http_server_active_requests", "Requests being answered.", labels=("http_request_method", "url_scheme")
        )
        for method, n in active:
            http.add_metric((_otel(method), self._scheme), n)
        yield http
        api = [((method, _endpoint(route), "", ""), tenant, t.seconds) for route, method, _, _, tenant, t in tallies]
        yield histogram(
            "evalhub_api_request_duration_seconds",
            "Time from request to the end of the answer.",
            _API_LABELS,
            _API_BOUNDS,
            ((labels, seconds) for labels, _, seconds in api),
        )
        yield histogram(
            "evalhub_eval_api_request_duration_seconds",
            "Time from request to the end of the answer, by tenant.",
            (*_API_LABELS, "tenant"),
            OTEL_BOUNDS,
            (((*labels, tenant), seconds) for labels, tenant, seconds in api),
        )

    def _http(self, tallies: Iterable[tuple[str, str, int, str, str, _Tally]]) -> Iterator[Metric]:
        """Return the families that follow OpenTelemetry's conventions for HTTP servers."""
        named: list[tuple[Labels, _Tally]] = [
            ((_otel(method), str(status), route, "http", version, *self._server, self._scheme), tally)
            for route, method, status, version, _, tally in tallies
        ]
        yield histogram(
            "http_server_request_duration_seconds",
            "Time from request to the end of the answer.",
            _HTTP_LABELS,
            _HTTP_BOUNDS,
            ((labels, tally.seconds) for labels, tally in named),
        )
        yield histogram(
            "http_server_request_body_size_bytes",
            "Bytes of request bodies, as far as they were read.",
            _HTTP_LABELS,
            OTEL_BOUNDS,
            ((labels, tally.received) for labels, tally in named),
        )
        yield histogram(
            "http_server_response_body_size_bytes",
            "Bytes of answers' bodies.",
            _HTTP_LABELS,
            OTEL_BOUNDS,
            ((labels, tally.sent) for labels, tally in named),
        )
        yield counter(
            "http_server_request_count",
            "Requests answered.",
            _HTTP_LABELS[:3],
            ((labels[:3], sum(tally.seconds.counts)) for labels, tally in named),
        )


def _otel(method: str) -> str:
    return "_OTHER" if method == OTHER_METHOD else method


def _endpoint(route: str) -> str:
    return "" if route == NOT_FOUND else route
