"""What runs usually take: learned from those that this server sees end, and from what the store knows of the others.

The store is asked by whoever wants to know, now and then, and tells of the runs that were leased last. That fills what this
server has not seen itself: everything after a start, and what ends at other servers.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable

from assay.model.states import Status
from assay.store.base import Store
from assay.store.changes import Change, RunMoved
from assay.store.queries import RecentDurations

LOOK_S = 60.0
"""How long what the store said holds, where other servers see runs end too."""
MOST_ATTEMPTS = 1000
"""Attempts that the store is asked about, the ones submitted last."""
_NEWEST = 0.3
"""The weight of the newest run in the moving average."""
_MOST = 10_000

_Averages = dict[tuple[str, ...], float]


class Durations:
    """Moving averages by provider and benchmark, by provider, and over all; seconds."""

    def __init__(self) -> None:
        self._seen: _Averages = {}
        self._stored: _Averages = {}
        self._look_at = 0.0
        self._looking = asyncio.Lock()

    def told(self, changes: Iterable[Change]) -> None:
        """Take note of runs that were completed."""
        for change in changes:
            if isinstance(change, RunMoved) and change.status is Status.COMPLETED and change.took_s is not None:
                _note(self._seen, change.provider, change.benchmark, change.took_s, self._stored)

    async def learn(self, store: Store) -> None:
        """Ask the store, unless that was done a moment ago. Raises StoreUnavailable."""
        async with self._looking:
            now = time.monotonic()
            if now < self._look_at:
                return
            stored: _Averages = {}
            for provider_id, benchmark_id, took_s in await store.scan(RecentDurations(MOST_ATTEMPTS)):
                _note(stored, provider_id, benchmark_id, took_s)
            self._stored = stored
            self._look_at = math.inf if store.writes_alone else now + LOOK_S

    def usual(self, provider_id: str, benchmark_id: str) -> float:
        """Return what a run usually takes; infinite while no run has been completed."""
        for key in _keys(provider_id, benchmark_id):
            for averages in (self._seen, self._stored):
                if (found := averages.get(key)) is not None:
                    return found
        return math.inf


def _note(averages: _Averages, provider_id: str, benchmark_id: str, took_s: float, earlier: _Averages | None = None) -> None:
    """Bring averages up to date; one that is new goes on from the `earlier` one."""
    for key in _keys(provider_id, benchmark_id):
        before = averages.get(key)
        if before is None:
            if len(averages) >= _MOST:
                continue
            before = (earlier or {}).get(key, took_s)
        averages[key] = before + _NEWEST * (took_s - before)


def _keys(provider_id: str, benchmark_id: str) -> tuple[tuple[str, ...], ...]:
    return (provider_id, benchmark_id), (provider_id,), ()
