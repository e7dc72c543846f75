"""Who is given the next slot: weighted fair share between tenants, then priority, then age, within the quotas.

Between tenants counts first what each holds now, divided by its weight. Where that is equal the *pass* decides, as in stride
scheduling (Waldspurger and Weihl, 1995): each slot moves its tenant's pass on by one over its weight, and the smallest is
next, so that even a single slot goes round in proportion to the weights. A tenant that comes back after a pause is owed
about one turn and no more. Within a tenant runs go by priority, then by age.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from assay.model.quotas import Quota, Quotas


class Lane(NamedTuple):
    """Queued runs that are alike to the scheduler; `priority` and `run_id` are those of the first in line."""

    key: str
    tenant: str
    owner: str
    provider_id: str
    engine: str
    gpus: int
    labels: str
    """JSON object of the labels that a worker must have; empty for none."""
    priority: int
    run_id: str


def lane_key(tenant: str, owner: str, provider_id: str, engine: str, gpus: int, labels: Mapping[str, str]) -> str:
    """Return the key of the lane of a run that asks for `gpus` and for a worker with `labels`."""
    text = msgspec.json.encode((tenant, owner, provider_id, engine, gpus, sorted(labels.items())))
    return hashlib.sha256(text).hexdigest()[:24]


class Held(NamedTuple):
    """Slots and GPUs that runs of one tenant, user and provider hold."""

    tenant: str
    owner: str
    provider_id: str
    runs: int
    gpus: int


class Shares:
    """What everybody holds, and who is next. `passes` are those of the tenants that have queued runs, as they were kept."""

    def __init__(self, quotas: Quotas, held: Iterable[Held], passes: Mapping[str, float]) -> None:
        self._quotas = quotas
        self._longest_stride = max((self._stride(tenant) for tenant in passes), default=1.0)
        self._runs: Counter[tuple[str, ...]] = Counter()
        self._gpus: Counter[tuple[str, ...]] = Counter()
        self._passes = dict(passes)
        self._latest = max(self._passes.values(), default=0.0)
        self.tenants = frozenset(passes)
        """Tenants that have queued runs."""
        self.moved: set[str] = set()
        """Tenants whose pass has changed."""
        for one in held:
            self._add(one, one.runs, one.gpus)

    def pass_of(self, tenant: str) -> float:
        """Return how far a tenant is. One that stood still is no further behind than the slowest tenant's turn."""
        return max(self._passes.get(tenant, 0.0), self._latest - self._longest_stride)

    def limit(self, lane: Lane) -> str:
        """Return the quota that keeps a lane's first run waiting, such as `tenants.a.runs`; empty if none does."""
        for place, key, quota in self._quotas_of(lane):
            if quota.runs is not None and self._runs[key] >= quota.runs:
                return f"{place}.runs"
            if quota.gpus is not None and lane.gpus and self._gpus[key] + lane.gpus > quota.gpus:
                return f"{place}.gpus"
        return ""

    def next(self, lanes: Iterable[Lane]) -> Lane | None:
        """Return the lane whose first run is given the next slot, None if quotas hold all of them back."""
        best: dict[str, Lane] = {}
        for lane in lanes:
            known = best.get(lane.tenant)
            if (known is None or _line(lane) < _line(known)) and not self.limit(lane):
                best[lane.tenant] = lane
        if len(best) < 2:
            return next(iter(best.values()), None)
        return min(best.values(), key=self._turn)

    def take(self, lane: Lane) -> None:
        """Give a slot to the first run of a lane."""
        self._add(lane, 1, lane.gpus)
        tenant = lane.tenant
        self._passes[tenant] = moved = self.pass_of(tenant) + self._stride(tenant)
        self._latest = max(self._latest, moved)
        self.moved.add(tenant)

    def give_back(self, lane: Lane) -> None:
        """Take a slot and its GPUs back."""
        self._add(lane, -1, -lane.gpus)

    def _stride(self, tenant: str) -> float:
        return 1.0 / self._quotas.tenant(tenant).weight

    def _turn(self, lane: Lane) -> tuple[float, float, str]:
        share = self._runs["tenants", lane.tenant] / self._quotas.tenant(lane.tenant).weight
        return share, self.pass_of(lane.tenant), lane.run_id

    def _add(self, one: Lane | Held, runs: int, gpus: int) -> None:
        for key in (
            ("total",), ("tenants", one.tenant), ("users", one.tenant, one.owner), ("providers", one.provider_id)
        ):  # fmt: skip
            self._runs[key] += runs
            self._gpus[key] += gpus

    def _quotas_of(self, lane: Lane) -> tuple[tuple[str, tuple[str, ...], Quota], ...]:
        quotas = self._quotas
        return (
            ("total", ("total",), quotas.total),
            (f"tenants.{lane.tenant}", ("tenants", lane.tenant), quotas.tenant(lane.tenant)),
            (f"users.{lane.owner}", ("users", lane.tenant, lane.owner), quotas.user(lane.owner)),
            (f"providers.{lane.provider_id}", ("providers", lane.provider_id), quotas.provider(lane.provider_id)),
        )


def _line(lane: Lane) -> tuple[int, str]:
    return -lane.priority, lane.run_id
