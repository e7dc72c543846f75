"""The queue: which run a worker is given next, and what waits.

Queued runs stand in *lanes*: runs of one lane are alike to the scheduler, so that only the first of each is looked at,
however many there are. Who is next is decided by `model.fairness`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from assay.model.errors import AssayError, UnknownWorker
from assay.model.fairness import Held, Lane, Shares, Turns
from assay.model.forecast import Waiting
from assay.model.protocol import Grant
from assay.model.quotas import NO_QUOTAS, Quotas
from assay.model.records import Worker
from assay.model.states import RunState, WorkerState
from assay.store.base import Steps, alone, ask_each, change_each, run, run_many
from assay.store.history import event, record
from assay.store.leases import answers_to
from assay.store.rows import listed, worker_of

_labels = msgspec.json.Decoder(dict[str, str])


PATIENCE = 60_000_000
"""Microseconds that a run waits for several GPUs before a worker keeps its own for it."""


@dataclass(frozen=True)
class Taken:
    """What a worker is given. `held_back`: there is more for it, but quotas stand against that for now."""

    leases: list[Grant]
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

    @property
    def keys(self) -> tuple[Hashable, ...]:
        return ()

    def steps(self) -> Steps[Taken]:
        return alone(self)

    @classmethod
    def together(cls, operations: Sequence[TakeRuns]) -> Steps[list[Taken | AssayError]]:
        rows = yield run("workers_to_change", names=listed({one.worker for one in operations}))
        workers = {row["name"]: worker_of(row) for row in rows}
        answers: list[Taken | AssayError] = []
        queue: _Queue | None = None
        wanted = sum(one.free for one in operations)
        for asked in operations:
            worker = workers.get(asked.worker)
            if worker is None or not answers_to(worker.incarnation, asked.incarnation):
                answers.append(UnknownWorker(worker=asked.worker))
            elif worker.state is not WorkerState.ACTIVE:
                answers.append(Taken([], False))
            else:
                if queue is None or queue.quotas != asked.quotas:
                    if queue is not None:
                        yield from queue.write()
                    queue = yield from _Queue.look(asked.quotas)
                answers.append((yield from queue.serve(asked, worker, wanted)))
            wanted -= asked.free
        if queue is not None:
            yield from queue.write()
        return answers


class _Ready(NamedTuple):
    """A run that may be leased, with the columns of `ready_in_lane`: `attempts` and `fence` are those before.

    `place` is its index in the job.
    """

    id: str
    job_id: str
    place: int
    attempts: int
    fence: int
    priority: int
    available_at: int
    plan: bytes
    context: bytes


_FIRST = 2
"""Rows of `first_in_lane`: the run that is given, and who is first after it."""

_LONGER = 8
"""How many times as many are looked at next where those were too few."""


class _Line:
    """Runs of a lane that may be leased, as far as they have been looked at."""

    def __init__(self) -> None:
        self.ready: deque[_Ready] = deque()
        """Those that have not been given to anybody."""
        self.read = 0
        """How many were looked at."""
        self.whole = False
        """Whether these are all."""


class _Queue:
    """What waits while workers are given runs in one transaction: the lanes, and who is next."""

    def __init__(self, quotas: Quotas, lanes: Iterable[Lane], shares: Shares) -> None:
        self.quotas = quotas
        self._lanes = {lane.key: lane for lane in lanes}
        self._shares = shares
        self._unlocked = not _decides(self._lanes, quotas)
        """Whether others may take runs meanwhile: each passes over what another one looks at."""
        self._lanes_of = Counter(lane.tenant for lane in self._lanes.values())
        """How many lanes each tenant has."""
        self._lines: dict[str, _Line] = {}
        """What has been looked at of each lane."""
        self._taken: list[tuple[TakeRuns, _Ready]] = []
        self._alike: Hashable = None
        """What the workers have that `_turns` is for."""
        self._turns = Turns(shares, ())

    @classmethod
    def look(cls, quotas: Quotas) -> Steps[_Queue]:
        """Look at the queue. Where shares or quotas decide nobody else takes runs before the transaction ends."""
        lanes = yield from queued_lanes()
        if _decides(lanes, quotas):
            yield run("lock_queue")
        return cls(quotas, lanes, (yield from shares_of(lanes, quotas)))

    def serve(self, asked: TakeRuns, worker: Worker, wanted: int) -> Steps[Taken]:
        """Give a worker what it asks for. `wanted`: how many runs it and those after it ask for."""
        free_gpus, keeps_gpus = asked.free_gpus, False
        turns, leases, passed = self._turns_of(worker, max(free_gpus, len(worker.gpus))), list[Grant](), list[Lane]()
        while len(leases) < asked.free and (lane := turns.next()) is not None:
            if lane.gpus > free_gpus:
                keeps_gpus = keeps_gpus or (yield from is_kept_for(lane, asked, worker))
                passed.append(lane)
                continue
            if lane.gpus and keeps_gpus:
                passed.append(lane)
                continue
            line = yield from self._line(lane, asked.now, wanted - len(leases))
            # What stood first in the lane may not be leased yet.
            if line and line[0].id == lane.run_id:
                for _ in range(asked.free - len(leases) if turns.over else 1):
                    ready = line.popleft()
                    leases.append(_grant(ready))
                    self._taken.append((asked, ready))
                    self._shares.take(lane)
                    free_gpus -= lane.gpus
                    if not line or lane.gpus > free_gpus or self._shares.limit(lane):
                        break
                line = yield from self._line(lane, asked.now, wanted - len(leases))
            if following := self._follow(lane, line):
                turns.put(following)
        for lane in passed:
            turns.put(lane)
        return Taken(leases, len(leases) < asked.free and bool(turns.held_back))

    def _turns_of(self, worker: Worker, most_gpus: int) -> Turns:
        """Return the lanes that suit a worker, as those before it have left them: most workers are like the one before."""
        alike = (frozenset(worker.engines), most_gpus, tuple(worker.labels.items()))
        if self._alike != alike:
            lanes = self._lanes.values()
            suiting = [lane for lane in lanes if lane.engine in worker.engines and has(lane, most_gpus, worker.labels)]
            self._alike, self._turns = alike, Turns(self._shares, suiting)
        return self._turns

    def _line(self, lane: Lane, now: int, wanted: int) -> Steps[deque[_Ready]]:
        """Return the runs of a lane that may be leased, first come first, as far as they matter for `wanted` runs more."""
        if lane.key not in self._lines:
            yield from self._look_ahead(lane, now, wanted)
        line = self._lines[lane.key]
        if wanted and not (line.ready or line.whole):
            more = wanted if self._unlocked else min(wanted + 1, _LONGER * line.read or wanted + 1)
            rows = yield run("ready_in_lane", lane=lane.key, now=now, limit=line.read + more)
            line.whole = len(rows) < line.read + more
            given = {one.id for _, one in self._taken}
            line.ready.extend(ready for ready in map(_Ready._make, rows) if ready.id not in given)
            line.read = len(rows)
        return line.ready

    def _look_ahead(self, lane: Lane, now: int, wanted: int) -> Steps[None]:
        """Look at the first runs of a lane, and of those that are likely to be next after it."""
        if self._unlocked or (wanted > 1 and self._turns.over):
            self._lines[lane.key] = _Line()  # it gives all that is wanted, and is looked at for so many
            return
        lanes = {one.key: _Line() for one in (lane, *self._turns.soon(wanted - 1)) if one.key not in self._lines}
        self._lines |= lanes
        for key, *row in (yield ask_each("first_in_lane", [{"lane": key, "now": now} for key in lanes])):
            lanes[key].ready.append(_Ready._make(row))
        for line in lanes.values():
            line.read = len(line.ready)
            line.whole = line.read < _FIRST

    def _follow(self, lane: Lane, line: deque[_Ready]) -> Lane | None:
        """Return a lane with who is first in it now; None where nobody is."""
        if not line:
            del self._lanes[lane.key]
            self._lanes_of[lane.tenant] -= 1
            if not self._lanes_of[lane.tenant]:
                self._shares.leave(lane.tenant)
            return None
        first = line[0]
        following = lane._replace(priority=first.priority, run_id=first.id, since=first.available_at)
        self._lanes[lane.key] = following
        return following

    def write(self) -> Steps[None]:
        """Write what has been given, and how far each tenant is now."""
        taken = self._taken
        if not taken:
            return
        if len(self._shares.tenants) > 1:
            passes = [{"tenant": one, "passed": self._shares.pass_of(one)} for one in sorted(self._shares.moved)]
            yield run_many("put_share", passes)
        yield change_each("take_run", [_taking(asked, one) for asked, one in taken])
        again = {one.job_id: asked.now for asked, one in taken if one.attempts}
        if again:  # users see that it is tried again
            yield run_many("touch_job", [{"id": job_id, "now": again[job_id]} for job_id in sorted(again)])
        yield from record([_leased(asked, one) for asked, one in taken])


def _decides(lanes: Sized, quotas: Quotas) -> bool:
    """Say whether it follows from shares or quotas who is next, rather than from age and priority alone."""
    return len(lanes) > 1 or (len(lanes) > 0 and quotas != NO_QUOTAS)


def _taking(asked: TakeRuns, one: _Ready) -> dict[str, Any]:
    return {
        "id": one.id,
        "from": RunState.QUEUED,
        "fence": one.fence,
        "worker": asked.worker,
        "now": asked.now,
        "expires": asked.now + asked.lease,
    }


def _leased(asked: TakeRuns, one: _Ready) -> dict[str, Any]:
    data = {"benchmark_index": one.place, "attempt": one.attempts + 1, "worker": asked.worker}
    return event(one.job_id, one.id, asked.now, "run.leased", data)


def _grant(one: _Ready) -> Grant:
    return Grant(
        run_id=one.id,
        job_id=one.job_id,
        index=one.place,
        attempt=one.attempts + 1,
        fence=one.fence + 1,
        plan=msgspec.Raw(one.plan),
        context=msgspec.Raw(one.context),
    )


def is_kept_for(lane: Lane, asked: TakeRuns, worker: Worker) -> Steps[bool]:
    """Say whether a worker gives its GPUs to nobody else until it has enough of them for the first run of a lane.

    Runs that need fewer would otherwise go on taking each GPU that becomes free. Of the workers that could carry it out only
    the one that lacks fewest keeps its GPUs, and only once the run has waited for a while.
    """
    if asked.now - lane.since < PATIENCE:
        return False
    rows = yield run("workers_with_gpus", alive=asked.now - asked.lease)
    others = [(worker_of(row), row["held_gpus"]) for row in rows if row["name"] != worker.name]
    lacks = {
        other.name: lane.gpus - (len(other.gpus) - held)
        for other, held in others
        if lane.engine in other.engines and has(lane, len(other.gpus), other.labels)
    }
    ours = lane.gpus - asked.free_gpus
    return all((ours, worker.name) < (lack, name) for name, lack in lacks.items())


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
        for row in (yield run("shares", tenants=listed(sorted(passes)))):
            passes[row["tenant"]] = row["pass"]
        return lines, running, passes


def queued_lanes() -> Steps[list[Lane]]:
    """Return every lane in which a run is queued."""
    return [Lane(*row) for row in (yield run("lanes"))]


def shares_of(lanes: list[Lane], quotas: Quotas) -> Steps[Shares]:
    """Return who holds what, and how far each tenant is that has a lane. One tenant without quotas needs no look."""
    tenants = {lane.tenant for lane in lanes}
    if len(tenants) < 2 and quotas == NO_QUOTAS:
        return Shares(quotas, (), dict.fromkeys(tenants, 0.0))
    held = [Held(*row) for row in (yield run("held"))]
    passes = dict.fromkeys(tenants, 0.0)
    for row in (yield run("shares", tenants=listed(sorted(tenants)))):
        passes[row["tenant"]] = row["pass"]
    return Shares(quotas, held, passes)
