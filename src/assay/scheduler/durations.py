"""What runs usually take, learned from those that this server has seen end."""

from __future__ import annotations

import math
from collections.abc import Iterable

from assay.model.states import Status
from assay.store.changes import Change, RunMoved

_NEWEST = 0.3
"""The weight of the newest run in the moving average."""
_MOST = 10_000


class Durations:
    """Moving averages by provider and benchmark, by provider, and over all; seconds."""

    def __init__(self) -> None:
        self._averages: dict[tuple[str, ...], float] = {}

    def told(self, changes: Iterable[Change]) -> None:
        """Take note of runs that were completed."""
        for change in changes:
            if isinstance(change, RunMoved) and change.status is Status.COMPLETED and change.took_s is not None:
                for key in ((change.provider, change.benchmark), (change.provider,), ()):
                    before = self._averages.get(key)
                    if before is None and len(self._averages) >= _MOST:
                        continue
                    self._averages[key] = change.took_s if before is None else before + _NEWEST * (change.took_s - before)

    def usual(self, provider_id: str, benchmark_id: str) -> float:
        """Return what a run usually takes; infinite while no run has been completed."""
        for key in ((provider_id, benchmark_id), (provider_id,), ()):
            if (found := self._averages.get(key)) is not None:
                return found
        return math.inf
