"""The queue: which run a worker is given next, and what waits.

Queued runs stand in *lanes*: runs of one lane are alike to the scheduler, so that only the first of each is looked at,
however many there are. Who is next is decided by `model.fairness`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from assay.model.fairness import Held, Lane, Shares
from assay.model.forecast import Waiting
from assay.model.plan import Context, Plan
from assay.model.protocol import Lease
from assay.model.quotas import Quotas
from assay.model.states import WorkerState
from assay.store import life
from assay.store.base import Row, Signal, Steps, job_topic, run, run_many
from assay.store.leases import registered
from assay.store.rows import encode

_plan = msgspec.json.Decoder(Plan)
_context = msgspec.json.Decoder(Context)
_labels = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True)
class Taken:
    """What a worker is given. `held_back`: there is more for it, but quotas stand against that for now."""

    leases: list[Lease]
    held_back: bool


@dataclass(frozen=True)
class TakeRuns:
    """Lease up to `free` ready runs to a worker until `now + lease` (microseconds), by fair share and within the quotas.

    It gets no run that asks for labels that it has not announced, or for more GPUs than it has free, and none at all while
    it is not active. Raises UnknownWorker.
    """

    worker: str
    incarnation: str
    free: int
    now: int
    lease: int
    quotas: Quotas = field(default_factory=Quotas)
    free_gpus: int = 0

    def steps(self) -> Steps[Taken]:
        worker = yield from registered(self.worker, self.incarnation)
        if worker.state is not WorkerState.ACTIVE:
            return Taken([], False)
        lanes = [
            lane
            for lane in (yield from queued_lanes())
            if lane.engine in worker.engines and has(lane, self.free_gpus, worker.labels)
        ]
        if not lanes:
            return Taken([], False)
        if len(lanes) > 1 or self.quotas != _NONE:
            yield run("lock_queue")
        shares = yield from shares_of(lanes, self.quotas)
        waiting: dict[str, deque[Row]] = {}
        taken: list[Row] = []
        free_gpus, lane = self.free_gpus, shares.next(lanes)
        while lane is not None and len(taken) < self.free:
            line = waiting.get(lane.key)
            if line is None:
                limit = self.free - len(taken)
                rows = yield run("ready_in_lane", lane=lane.key, now=self.now, limit=limit)
                line = waiting[lane.key] = deque(rows)
            lanes.remove(lane)
            if line and line[0]["id"] != lane.run_id:  # what stood first in the lane may not be leased yet
                lanes.append(_led_by(lane, line[0]))
            elif line:
                taken.append(line.popleft())
                shares.take(lane)
                free_gpus -= lane.gpus
                if line:
                    lanes.append(_led_by(lane, line[0]))
            lanes = [one for one in lanes if one.gpus <= free_gpus] if lane.gpus else lanes
            lane = shares.next(lanes)
        if len(shares.tenants) > 1:
            for tenant in sorted(shares.moved):
                yield run("put_share", tenant=tenant, passed=shares.pass_of(tenant))
        yield from self._write(taken)
        return Taken([_lease(row) for row in taken], bool(lanes) and lane is None)

    def _write(self, taken: list[Row]) -> Steps[None]:
        worker, now, expires = self.worker, self.now, self.now + self.lease
        leases = [{"id": row["id"], "fence": row["fence"], "worker": worker, "expires": expires} for row in taken]
        yield run_many("take_run", leases)
        attempts = [
            {"run_id": row["id"], "number": row["attempts"] + 1, "fence": row["fence"] + 1, "worker": worker, "now": now}
            for row in taken
        ]
        yield run_many("insert_attempt", attempts)
        for row in taken:
            if row["attempts"]:  # users see that it is tried again
                yield run("touch_job", id=row["job_id"], now=now)
                yield Signal(job_topic(row["job_id"]))
        events = [
            life.event(
                row["job_id"],
                row["id"],
                now,
                "run.leased",
                {"benchmark_index": row["idx"], "attempt": row["attempts"] + 1, "worker": worker},
            )
            for row in taken
        ]
        yield run_many("insert_event", events)
        if taken:
            yield from life.told(*{row["job_id"] for row in taken})


def _led_by(lane: Lane, row: Row) -> Lane:
    return lane._replace(priority=row["priority"], run_id=row["id"])


def _lease(row: Row) -> Lease:
    return Lease(
        run_id=row["id"],
        job_id=row["job_id"],
        index=row["idx"],
        attempt=row["attempts"] + 1,
        fence=row["fence"] + 1,
        plan=_plan.decode(row["plan"]),
        context=_context.decode(row["context"]),
    )


def has(lane: Lane, gpus: int, labels: Mapping[str, str]) -> bool:
    """Say whether a worker with `gpus` and `labels` has what the runs of a lane ask for."""
    return lane.gpus <= gpus and (not lane.labels or _labels.decode(lane.labels).items() <= labels.items())


class Line(NamedTuple):
    """A lane, the first runs in it, and how many there are."""

    lane: Lane
    waiting: list[Waiting]
    length: int


class Running(NamedTuple):
    """A run that holds a slot, `since` microseconds since 1970."""

    lane: Lane
    benchmark_id: str
    since: int


@dataclass(frozen=True)
class WholeQueue:
    """Every lane with its first `most` runs, what holds a slot, and how far each tenant is."""

    most: int

    def steps(self) -> Steps[tuple[list[Line], list[Running], dict[str, float]]]:
        lines = []
        for lane in (yield from queued_lanes()):
            rows = yield run("waiting_in_lane", lane=lane.key, limit=self.most)
            (count,) = yield run("count_in_lane", lane=lane.key)
            lines.append(Line(lane, [Waiting(*row) for row in rows], count["n"]))
        running = [
            Running(Lane("", row["tenant"], row["owner"], row["provider_id"], row["engine"], row["gpus"], "", 0, ""),
                    row["benchmark_id"], row["since"])
            for row in (yield run("held_runs"))
        ]  # fmt: skip
        passes = dict.fromkeys((line.lane.tenant for line in lines), 0.0)
        for row in (yield run("shares", tenants=encode(sorted(passes)).decode())):
            passes[row["tenant"]] = row["pass"]
        return lines, running, passes


def queued_lanes() -> Steps[list[Lane]]:
    """Return every lane in which a run is queued."""
    return [Lane(*row) for row in (yield run("lanes"))]


def shares_of(lanes: list[Lane], quotas: Quotas) -> Steps[Shares]:
    """Return who holds what, and how far each tenant is that has a lane. One tenant without quotas needs no look."""
    tenants = {lane.tenant for lane in lanes}
    if len(tenants) < 2 and quotas == _NONE:
        return Shares(quotas, (), dict.fromkeys(tenants, 0.0))
    held = [Held(*row) for row in (yield run("held"))]
    passes = dict.fromkeys(tenants, 0.0)
    for row in (yield run("shares", tenants=encode(sorted(tenants)).decode())):
        passes[row["tenant"]] = row["pass"]
    return Shares(quotas, held, passes)


_NONE = Quotas()
