"""Operations of workers on leases: register, renew, and what happens when a lease or a worker is lost."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from assay.model.errors import NotFound, UnknownWorker, WorkerInUse
from assay.model.protocol import Heartbeat, HeartbeatAnswer, Registration
from assay.model.records import Worker
from assay.model.results import Message
from assay.model.states import HELD, Verdict, WorkerState
from assay.store import life
from assay.store.base import Signal, Steps, job_topic, run, worker_topic
from assay.store.rows import announced, encode, report_of, run_of, worker_of

LINGER = 60_000_000
"""Microseconds that an adapter may go on after it has reported its end: it may still have to save things."""


def _return_all(worker: str, now: int, why: str) -> Steps[None]:
    """Give everything that a worker holds back to the queue, because it is gone."""
    held = [run_of(row) for row in (yield run("held_by_worker", worker=worker))]
    yield from life.lose([life.Loss(one, now, "worker_lost", why) for one in held])


@dataclass(frozen=True)
class RegisterWorker:
    """Enter a worker; whatever an earlier incarnation of the same name still holds goes back to the queue.

    Returns what it may do: what it was told. A drain stands until a process has carried it out, however often one registers
    meanwhile; a pause stands until the worker is resumed.
    """

    registration: Registration
    now: int

    def steps(self) -> Steps[WorkerState]:
        new = self.registration
        state = WorkerState.ACTIVE
        known = yield run("worker_to_change", name=new.name)
        if known:  # it may wait for runs as what it announced before
            yield [Signal(worker_topic(new.name))]
        if known and known[0]["incarnation"] != new.incarnation:
            yield from _return_all(new.name, self.now, f"The worker '{new.name}' was restarted.")
        if known and known[0]["state"] != WorkerState.DRAINED:
            state = WorkerState(known[0]["state"])
        yield run(
            "put_worker",
            name=new.name,
            incarnation=new.incarnation,
            slots=new.slots,
            engines=encode(new.engines),
            version=new.version,
            now=self.now,
            state=state,
            announced=announced(new),
        )
        return state


@dataclass(frozen=True)
class DirectWorker:
    """Say what a worker may do from now on; it is told at once. One that has been drained need not be. Raises NotFound."""

    name: str
    state: WorkerState

    def steps(self) -> Steps[None]:
        if not (yield run("direct_worker", name=self.name, state=self.state)):
            raise NotFound(kind="worker", id=self.name)
        yield [Signal(worker_topic(self.name))]


@dataclass(frozen=True)
class DismissWorker:
    """The process of a worker ends in good order: a drain is carried out, and nobody who calls as it is heard any more.

    What it was leased in its last moment, and did not hear of, goes back to the queue. Returns its state. Raises
    UnknownWorker.
    """

    name: str
    incarnation: str
    now: int

    def steps(self) -> Steps[WorkerState]:
        worker = yield from registered(self.name, self.incarnation)
        yield from _return_all(self.name, self.now, f"The worker '{self.name}' has ended.")
        yield run("dismiss_worker", name=self.name, now=self.now)
        return WorkerState.DRAINED if worker.state is WorkerState.DRAINING else worker.state


@dataclass(frozen=True)
class EndDrain:
    """No process of a worker is left that could carry a drain out: what was asked for has come about."""

    name: str

    def steps(self) -> Steps[None]:
        yield run("end_drain", name=self.name)


@dataclass(frozen=True)
class ForgetWorker:
    """Forget a worker, and what it was told. `lease`: microseconds of silence after which it counts as gone.

    Raises NotFound, and WorkerInUse for one that is alive or holds runs.
    """

    name: str
    now: int
    lease: int

    def steps(self) -> Steps[None]:
        rows = yield run("worker_to_change", name=self.name)
        if not rows:
            raise NotFound(kind="worker", id=self.name)
        seconds = round((self.now - rows[0]["seen_at"]) / 1_000_000)
        if worker_of(rows[0]).alive(self.now, self.lease):
            raise WorkerInUse(
                worker=self.name, why=f"was heard of {max(seconds, 0)} s ago", until="it has ended or fallen silent"
            )
        if held := len((yield run("held_by_worker", worker=self.name))):
            raise WorkerInUse(worker=self.name, why=f"holds {held} runs", until="they have been queued again")
        yield run("drop_worker", name=self.name)


@dataclass(frozen=True)
class ProveWriting:
    """Write something, and leave nothing of it."""

    now: int

    def steps(self) -> Steps[None]:
        nobody = ""  # no worker can have this name
        yield run(
            "put_worker",
            name=nobody,
            incarnation="",
            slots=0,
            engines=b"{}",
            version="",
            now=self.now,
            state=WorkerState.ACTIVE,
            announced=b"{}",
        )
        yield run("drop_worker", name=nobody)


def registered(name: str, incarnation: str, asked: str = "worker_to_change") -> Steps[Worker]:
    """Return a registered worker, or raise UnknownWorker. Who directs it meanwhile waits for the end of this transaction."""
    rows = yield run(asked, name=name)
    if not rows or not answers_to(rows[0]["incarnation"], incarnation):
        raise UnknownWorker(worker=name)
    return worker_of(rows[0])


def answers_to(known: str, incarnation: str) -> bool:
    """Say whether the worker that is `known` is the one that calls; one that has taken its leave has no incarnation."""
    return bool(incarnation) and known == incarnation


@dataclass(frozen=True)
class RenewLeases:
    """Renew everything a worker holds and note its progress; return the runs that it must stop, and what it may do."""

    worker: str
    beat: Heartbeat
    now: int
    lease: int

    def steps(self) -> Steps[HeartbeatAnswer]:
        worker = yield from registered(self.worker, self.beat.incarnation)
        held = {row["id"]: run_of(row) for row in (yield run("held_by_worker", worker=self.worker))}
        stop, touched = [], set()
        for holding in self.beat.holding:
            one = held.get(holding.run_id)
            if one is None or one.fence != holding.fence:
                stop.append(holding.run_id)
                continue
            before = report = report_of(one)
            if holding.phase and one.state in HELD:
                report = msgspec.structs.replace(report, phase=holding.phase)
            done, total = holding.done or one.done, holding.total or one.total
            yield run(
                "renew_lease",
                id=one.id,
                fence=one.fence,
                worker=self.worker,
                expires=self.now + self.lease,
                done=done,
                total=total,
                report=encode(report),
            )
            if one.state not in HELD:
                if one.verdict is not Verdict.ADAPTER or self.now - (one.finished_at or 0) > LINGER:
                    stop.append(one.id)
            elif (done, total, report) != (one.done, one.total, before):
                touched.add(one.job_id)
        yield run("see_worker", name=self.worker, now=self.now)
        for job_id in sorted(touched):
            yield run("touch_job", id=job_id, now=self.now)
            yield [Signal(job_topic(job_id))]
        return HeartbeatAnswer(stop, worker.state)


@dataclass(frozen=True)
class LapseLeases:
    """Take runs back from workers whose lease ran out; return how many."""

    now: int

    def steps(self) -> Steps[int]:
        lapsed = [run_of(row) for row in (yield run("lapsed_leases", now=self.now))]
        yield from life.lose(
            [life.Loss(one, self.now, "lease_lost", f"The worker '{one.worker}' stopped answering.") for one in lapsed]
        )
        return len(lapsed)


@dataclass(frozen=True)
class LapseGraces:
    """Fail runs whose process ended without a report once their grace is over; return how many."""

    now: int

    def steps(self) -> Steps[int]:
        lapsed = [run_of(row) for row in (yield run("lapsed_graces", now=self.now))]
        given_up = []
        for one in lapsed:
            last = (yield run("attempts_of_run", run_id=one.id))[-1]
            given_up.append(life.given_up(one, self.now, Message(last["message"], last["code"], "runtime")))
        yield from life.move(given_up)
        return len(lapsed)
