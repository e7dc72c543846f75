"""What the database holds at the moment of a scrape: the same from every server, and right from the first scrape on."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from assay import __version__
from assay.model.states import JobState
from assay.server.metrics.series import LIMIT, LONGEST, OTHER, Labels
from assay.store.base import Connections, Store
from assay.store.queries import JobCounts, OpenRuns

_ACTIVE = (JobState.PENDING, JobState.RUNNING)


class Standing(NamedTuple):
    """What the store says of itself."""

    jobs: list[tuple[str, str, int]]
    """Tenant, state, number of jobs."""
    runs: dict[str, int]
    connections: Connections
    storage: Mapping[str, int]
    """Part, bytes."""
    watchers: int = 0
    kept: Mapping[str, int] = {}
    """Kind of rendered documents, bytes of memory."""


async def ask(store: Store, storage: Mapping[str, int], watchers: int, kept: Mapping[str, int]) -> Standing:
    """Return what stands in the store now, and what this server has in hand. Raises StoreUnavailable."""
    jobs, runs = await store.scan(JobCounts()), await store.scan(OpenRuns())
    return Standing(jobs, runs, store.connections(), storage, watchers, kept)


def collect(standing: Standing) -> Iterator[Metric]:
    """Return the families of series."""
    by_state: Counter[str] = Counter(dict.fromkeys(JobState, 0))
    active: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    for tenant, state, n in standing.jobs:
        by_state[state] += n
        active[tenant] += n if state in _ACTIVE else 0
        waiting[tenant] += n if state == JobState.PENDING else 0
    jobs: dict[Labels, int] = {(state,): n for state, n in by_state.items()}
    yield _gauge("assay_jobs", "Jobs by state.", ("state",), jobs)
    runs: dict[Labels, int] = {(state,): standing.runs.get(state, 0) for state in ("queued", "leased", "running")}
    yield _gauge("assay_runs", "Runs that have not ended, by state.", ("state",), runs)
    yield _gauge("assay_watchers", "Connections that watch live events.", (), {(): standing.watchers})
    yield _gauge("evalhub_evaluation_jobs_active", "Jobs that have not ended.", (), {(): active.total()})
    yield _gauge("evalhub_evaluation_queue_depth", "Jobs of which nothing has started.", (), {(): waiting.total()})
    yield _by_tenant("evalhub_eval_active_jobs", "Jobs that have not ended, by tenant.", active)
    yield _by_tenant("evalhub_eval_queue_depth", "Jobs of which nothing has started, by tenant.", waiting)
    yield from _connections(standing.connections)
    storage: dict[Labels, int] = {(part,): n for part, n in standing.storage.items()}
    yield _gauge("assay_storage_bytes", "Room that things take, and what is free on the disk.", ("part",), storage)
    kept: dict[Labels, int] = {(kind,): n for kind, n in standing.kept.items()}
    yield _gauge("assay_kept_bytes", "Memory that rendered documents take, about.", ("kind",), kept)
    yield _gauge("target_info", "What this server is.", *_target())


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[Labels, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for chosen, n in values.items():
        family.add_metric(chosen, n)
    return family


def _by_tenant(name: str, text: str, counts: Counter[str]) -> GaugeMetricFamily:
    """Return a gauge with the tenants that have most; the rest, and names that are too long, are one."""
    shown: Counter[Labels] = Counter()
    for place, (tenant, n) in enumerate(counts.most_common()):
        shown[(tenant if place < LIMIT and len(tenant) <= LONGEST else OTHER,)] += n
    return _gauge(name, text, ("tenant",), shown)


def _connections(at: Connections) -> Iterator[Metric]:
    pool = ("db_client_connection_pool_name", "db_namespace", "db_system_name")
    of_pool = ("assay", at.namespace, at.system)
    by_state: dict[Labels, int] = {(*of_pool, "used"): at.used, (*of_pool, "idle"): at.idle}
    labels = (*pool, "db_client_connection_state")
    yield _gauge("db_client_connection_count", "Connections to the database.", labels, by_state)
    yield _gauge("db_client_connection_max", "Most connections to the database.", pool, {of_pool: at.most})
    yield _gauge("db_client_connection_idle_max", "Most connections that are kept unused.", pool, {of_pool: at.most})


def _target() -> tuple[tuple[str, ...], dict[Labels, int]]:
    """Return names and values of the resource's attributes, as OpenTelemetry calls them."""
    attributes = {
        "service_name": "assay",
        "service_version": __version__,
        "host_name": platform.node(),
        "host_arch": platform.machine(),
        "os_type": platform.system().lower(),
        "process_pid": str(os.getpid()),
        "process_runtime_name": platform.python_implementation().lower(),
        "process_runtime_version": platform.python_version(),
    }
    return tuple(attributes), {tuple(attributes.values()): 1}
