"""Who is given the next slot: weighted fair share between tenants, then priority, then age, within the quotas.

Between tenants counts first what each holds now, divided by its weight. Where that is equal the *pass* decides, as in stride
scheduling (Waldspurger and Weihl, 1995): each slot moves its tenant's pass on by one over its weight, and the smallest is
next, so that even a single slot goes round in proportion to the weights. A tenant that comes back after a pause is owed
about one turn and no more. Within a tenant runs go by priority, then by age.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush, nsmallest
from itertools import zip_longest
from typing import NamedTuple

import msgspec

from assay.model.quotas import NO_QUOTAS, Quota, Quotas


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
    since: int = 0
    """Since when the first in line may be leased: microseconds since 1970."""


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
    """What everybody holds, and how far each is. `passes` are those of tenants that have queued runs, as they were kept."""

    def __init__(self, quotas: Quotas, held: Iterable[Held], passes: Mapping[str, float]) -> None:
        self._quotas = quotas
        self._runs: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._gpus: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._shares: dict[str, float] = {}
        """What each tenant holds, divided by its weight."""
        self._passes = dict(passes)
        self._waiting = set(passes)
        """Tenants that still have queued runs."""
        self._longest_stride = self._floor = 0.0
        self._bound()
        self._alone = len(self._passes) < 2 and quotas == NO_QUOTAS
        self._bounds: dict[str, list[_Bound]] = {}
        """What bounds the runs of a lane, by its key."""
        self._most: dict[tuple[str, ...], int] = {}
        self._full: set[tuple[str, ...]] = set()
        """Whoever holds as many slots as he may, of those that bound a lane."""
        self.tenants = frozenset(passes)
        """Tenants that have queued runs."""
        self.moved: set[str] = set()
        """Tenants whose pass has changed."""
        for one in held:
            self._add(one, one.runs, one.gpus)

    def pass_of(self, tenant: str) -> float:
        """Return how far a tenant is."""
        return max(self._passes.get(tenant, 0.0), self._floor)

    def limit(self, lane: Lane) -> str:
        """Return the quota that keeps a lane's first run waiting, such as `tenants.a.runs`; empty if none does."""
        bounds = self._bounds.get(lane.key)
        if bounds is None:
            bounds = self._bounds[lane.key] = self._bounds_of(lane)
        if not (self._full or lane.gpus):
            return ""
        for place, key, quota in bounds:
            if quota.runs is not None and self._runs[key] >= quota.runs:
                return f"{place}.runs"
            if quota.gpus is not None and lane.gpus and self._gpus[key] + lane.gpus > quota.gpus:
                return f"{place}.gpus"
        return ""

    def turn(self, lane: Lane) -> tuple[float, float, str]:
        """Return when the tenant of a lane is next: the smallest comes first."""
        tenant, floor = lane.tenant, self._floor
        passed = self._passes.get(tenant, 0.0)
        return self._shares.get(tenant, 0.0), passed if passed > floor else floor, lane.run_id

    def take(self, lane: Lane) -> None:
        """Give a slot to the first run of a lane."""
        if self._alone:  # with one tenant and no quota nothing depends on what is held
            return
        self._add(lane, 1, lane.gpus)
        tenant = lane.tenant
        self._passes[tenant] = moved = self.pass_of(tenant) + self._stride(tenant)
        self._floor = max(self._floor, moved - self._longest_stride)
        self.moved.add(tenant)

    def leave(self, tenant: str) -> None:
        """Take note that a tenant has no queued run left: how far it is counts no more for the others."""
        self._waiting.discard(tenant)
        self._bound()

    def _bound(self) -> None:
        """Set the floor. No pass counts as less: one that stood still is no further behind than the slowest one's turn."""
        self._longest_stride = max(map(self._stride, self._waiting), default=1.0)
        self._floor = max((self._passes[tenant] for tenant in self._waiting), default=0.0) - self._longest_stride

    def give_back(self, lane: Lane) -> None:
        """Take a slot and its GPUs back."""
        if not self._alone:
            self._add(lane, -1, -lane.gpus)

    def _stride(self, tenant: str) -> float:
        return 1.0 / self._quotas.tenant(tenant).weight

    def _add(self, one: Lane | Held, runs: int, gpus: int) -> None:
        for key in (
            ("total",), ("tenants", one.tenant), ("users", one.tenant, one.owner), ("providers", one.provider_id)
        ):  # fmt: skip
            self._runs[key] += runs
            if gpus:
                self._gpus[key] += gpus
            if key in self._most:
                self._mark(key)
        self._shares[one.tenant] = self._runs["tenants", one.tenant] / self._quotas.tenant(one.tenant).weight

    def _bounds_of(self, lane: Lane) -> list[_Bound]:
        """Return what bounds the runs of a lane, and mark what is full of it."""
        if self._alone:
            return []
        bounds = list(_bounds(lane, self._quotas))
        for _, key, quota in bounds:
            if quota.runs is not None:
                self._most[key] = quota.runs
                self._mark(key)
        return bounds

    def _mark(self, key: tuple[str, ...]) -> None:
        """Note whether somebody holds as many slots as he may."""
        if self._runs[key] >= self._most[key]:
            self._full.add(key)
        else:
            self._full.discard(key)


class _Bound(NamedTuple):
    """A quota that bounds something, what it counts, and where it is set."""

    place: str
    key: tuple[str, ...]
    quota: Quota


def _bounds(lane: Lane, quotas: Quotas) -> Iterator[_Bound]:
    for bound in (
        _Bound("total", ("total",), quotas.total),
        _Bound(f"tenants.{lane.tenant}", ("tenants", lane.tenant), quotas.tenant(lane.tenant)),
        _Bound(f"users.{lane.owner}", ("users", lane.tenant, lane.owner), quotas.user(lane.owner)),
        _Bound(f"providers.{lane.provider_id}", ("providers", lane.provider_id), quotas.provider(lane.provider_id)),
    ):
        if bound.quota.runs is not None or bound.quota.gpus is not None:
            yield bound


class Turns:
    """Lanes in the order in which their first runs are next, as that changes with each run that is given a slot."""

    def __init__(self, shares: Shares, lanes: Iterable[Lane]) -> None:
        self._shares = shares
        self._lines: dict[str, list[tuple[int, str, Lane]]] = {}
        """The lanes of each tenant, a heap by priority and age."""
        self.held_back: list[Lane] = []
        """Lanes whose first runs wait for a quota."""
        for lane in lanes:
            self.put(lane)

    @property
    def over(self) -> bool:
        """Whether no lane is left, but for those that wait for a quota."""
        return not any(self._lines.values())

    def __bool__(self) -> bool:
        """Whether a run waits, be it for a quota."""
        return bool(self.held_back) or not self.over

    def next(self) -> Lane | None:
        """Take out the lane whose first run is given the next slot; None if there is none that the quotas let through."""
        firsts = [heap[0][2] for heap in self._lines.values() if self._open(heap)]
        if not firsts:
            return None
        lane = firsts[0] if len(firsts) == 1 else min(firsts, key=self._shares.turn)
        heappop(self._lines[lane.tenant])
        return lane

    def soon(self, most: int) -> list[Lane]:
        """Return up to `most` lanes that are likely to be next: the first of each tenant, then the second of each."""
        if not most:
            return []
        firsts = [heap[0][2] for heap in self._lines.values() if self._open(heap)]
        if len(firsts) >= most:
            return nsmallest(most, firsts, key=self._shares.turn)
        each = -(-most // len(firsts)) if firsts else 0
        lines = [[lane for *_, lane in nsmallest(each, heap)] for heap in self._lines.values()]
        return [lane for lanes in zip_longest(*lines) for lane in lanes if lane][:most]

    def put(self, lane: Lane) -> None:
        """Put a lane in, or back in with another first run."""
        heappush(self._lines.setdefault(lane.tenant, []), (-lane.priority, lane.run_id, lane))

    def look_again(self) -> None:
        """Put back what waited for a quota, because something was given back."""
        held_back, self.held_back = self.held_back, []
        for lane in held_back:
            self.put(lane)

    def _open(self, heap: list[tuple[int, str, Lane]]) -> bool:
        """Set aside what waits for a quota; say whether a tenant has something else."""
        while heap and self._shares.limit(heap[0][2]):
            self.held_back.append(heappop(heap)[2])
        return bool(heap)
