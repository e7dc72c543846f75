"""Operations of workers on leases: register, renew, and what happens when a lease or a worker is lost."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from assay.model.errors import UnknownWorker
from assay.model.protocol import Heartbeat, Registration
from assay.model.results import Message
from assay.model.states import HELD, Verdict
from assay.store import life
from assay.store.base import Signal, Steps, job_topic, run
from assay.store.rows import encode, report_of, run_of

LINGER = 60_000_000
"""Microseconds that an adapter may go on after it has reported its end: it may still have to save things."""

_engines = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True)
class RegisterWorker:
    """Enter a worker; whatever an earlier incarnation of the same name still holds goes back to the queue."""

    registration: Registration
    now: int

    def steps(self) -> Steps[None]:
        new = self.registration
        known = yield run("worker", name=new.name)
        if known and known[0]["incarnation"] != new.incarnation:
            for row in (yield run("held_by_worker", worker=new.name)):
                yield from life.lose(run_of(row), self.now, "worker_lost", f"The worker '{new.name}' was restarted.")
        yield run(
            "put_worker",
            name=new.name,
            incarnation=new.incarnation,
            slots=new.slots,
            engines=encode(new.engines),
            version=new.version,
            now=self.now,
        )


@dataclass(frozen=True)
class ProveWriting:
    """Write something, and leave nothing of it."""

    now: int

    def steps(self) -> Steps[None]:
        nobody = ""  # no worker can have this name
        yield run("put_worker", name=nobody, incarnation="", slots=0, engines=b"{}", version="", now=self.now)
        yield run("drop_worker", name=nobody)


def registered_engines(name: str, incarnation: str) -> Steps[list[str]]:
    """Return the engines of a registered worker, or raise UnknownWorker."""
    rows = yield run("worker", name=name)
    if not rows or rows[0]["incarnation"] != incarnation:
        raise UnknownWorker(worker=name)
    return list(_engines.decode(rows[0]["engines"]))


@dataclass(frozen=True)
class RenewLeases:
    """Renew everything a worker holds and note its progress; return the runs that it must stop."""

    worker: str
    beat: Heartbeat
    now: int
    lease: int

    def steps(self) -> Steps[list[str]]:
        yield from registered_engines(self.worker, self.beat.incarnation)
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
            yield Signal(job_topic(job_id))
        return stop


@dataclass(frozen=True)
class LapseLeases:
    """Take runs back from workers whose lease ran out; return how many."""

    now: int

    def steps(self) -> Steps[int]:
        rows = yield run("lapsed_leases", now=self.now)
        for row in rows:
            one = run_of(row)
            yield from life.lose(one, self.now, "lease_lost", f"The worker '{one.worker}' stopped answering.")
        return len(rows)


@dataclass(frozen=True)
class LapseGraces:
    """Fail runs whose process ended without a report once their grace is over; return how many."""

    now: int

    def steps(self) -> Steps[int]:
        rows = yield run("lapsed_graces", now=self.now)
        for row in rows:
            one = run_of(row)
            last = (yield run("attempts_of_run", run_id=one.id))[-1]
            message = Message(last["message"], last["code"], "runtime")
            yield from life.give_up(one, self.now, message)
        return len(rows)
