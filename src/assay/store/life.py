"""How runs move from state to state, and what must be written with it.

Every operation that ends, starts or returns runs goes through `move`, which checks the transitions against the model, writes
the runs, the counters and derived states of their jobs, the events and the wake-ups, all in the transaction of its caller.
It takes any number of runs with the statements of one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from assay.model.errors import JobIsTerminal
from assay.model.records import Run
from assay.model.results import Message, Report, Result, took_s
from assay.model.scores import Criteria
from assay.model.states import TERMINAL_RUNS, Cause, RunState, Status, Verdict, permitted, public_status
from assay.store.base import QUEUE, SLOTS, Signal, Steps, change_each, run_many, worker_topic
from assay.store.counting import Judged, Moved, hold, recount, told_anew
from assay.store.history import event
from assay.store.rows import encode, report_of

_LONGEST_MESSAGE = 1000
"""Most characters of a run's error that its event repeats."""

_AFRESH = encode(Report())


class Move(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run goes `to` another state for `cause` at `now`.

    `keep_lease`: the worker still has to stop the process; it keeps its claim on the slot until it says so. `delay`, in
    microseconds, is how long a run that goes back to the queue must wait. `report` and `result` None: they stay as they are.
    `criteria`: what the result was judged by, if it was. `data` is more for the event to say.
    """

    before: Run
    cause: Cause
    to: RunState
    now: int
    verdict: Verdict | None = None
    report: Report | None = None
    result: Result | None = None
    criteria: Criteria | None = None
    keep_lease: bool = False
    delay: int = 0
    data: Mapping[str, Any] = {}

    @property
    def ends(self) -> bool:
        """Whether the run has ended then."""
        return self.to in TERMINAL_RUNS

    @property
    def queues(self) -> bool:
        """Whether the run waits for its next attempt then."""
        return self.to is RunState.QUEUED

    @property
    def holds(self) -> bool:
        """Whether a worker has the run then."""
        return self.before.worker is not None and (self.keep_lease or not (self.ends or self.queues))

    def after(self) -> Report:
        """Return the run's report from then on."""
        if self.queues:
            return Report()
        return self.report if self.report is not None else report_of(self.before)


def move(moves: Sequence[Move], cancelled: Collection[str] = ()) -> Steps[None]:
    """Take runs, none of them twice, to other states.

    `cancelled` are jobs that their user has cancelled as a whole. Raises JobIsTerminal for a forbidden step, before it has
    written anything.
    """
    if not moves:
        return
    for one in moves:
        before = one.before
        if not permitted(before.state, one.cause, one.to, before.verdict):
            raise JobIsTerminal(id=before.job_id, wanted=one.to.value, state=before.state.value)
    reports = [one.after() for one in moves]
    moved = list(map(_moved, moves, reports))
    jobs = yield from hold(moved, cancelled)
    holds = [one.holds for one in moves]
    rows = list(map(_row, moves, reports, moved, holds))
    yield change_each("update_run", rows)
    if results := [{"run_id": one.before.id, "result": encode(one.result)} for one in moves if one.result is not None]:
        yield run_many("put_result", results)
    if dropped := [_named(one) for one in moves if one.result is None and one.before.result and (one.ends or one.queues)]:
        yield run_many("drop_result", dropped)
    yield from recount(jobs, moved, list(map(_event, moves, reports)), cancelled)
    for one, how in zip(moves, moved, strict=True):
        if one.before.state in TERMINAL_RUNS and how.status is one.before.status:
            yield from told_anew(one.before.job_id, one.now)
    if topics := set(filter(None, map(_topic, moves, holds))):
        yield [Signal(topic) for topic in topics]


def _moved(one: Move, report: Report) -> Moved:
    seconds = took_s(report, one.now) if one.to is RunState.COMPLETED or one.to is RunState.FAILED else None
    judged = Judged(one.criteria, one.result.test) if one.criteria and one.result else None
    return Moved(one.before, public_status(one.to, report.running), one.now, seconds, judged)


def _row(one: Move, report: Report, how: Moved, holds: bool) -> dict[str, Any]:
    """Return the parameters of `update_run`."""
    before, queues = one.before, one.queues
    return {
        "id": before.id,
        "from": before.state,
        "fence": before.fence,
        "to": one.to,
        "status": how.status,
        "worker": before.worker if holds else None,
        "started_at": one.now if one.cause is Cause.START else before.started_at,
        "lease_expires_at": before.lease_expires_at if holds else None,
        "grace_until": None,
        "finished_at": one.now if one.ends else None,
        "verdict": one.verdict,
        "report": _AFRESH if queues else encode(report),
        "queued_at": one.now if queues else before.queued_at,
        "available_at": one.now + one.delay if queues else before.available_at,
        "done": 0 if queues else before.done,
        "total": 0 if queues else before.total,
    }


def _named(one: Move) -> dict[str, str]:
    return {"run_id": one.before.id}


def _event(one: Move, report: Report) -> dict[str, Any]:
    before = one.before
    data = {"cause": one.cause, **facts(before), **one.data}
    if one.to is RunState.FAILED and (error := report.error_message):
        data |= {"code": error.message_code, "message": error.message[:_LONGEST_MESSAGE]}
    return event(before.job_id, before.id, one.now, f"run.{one.to}", data)


def _topic(one: Move, holds: bool) -> str | None:
    """Return whom a move wakes: who waits for work (and so does who waits for a slot), or the worker that is to stop it."""
    if one.queues:
        return QUEUE
    worker = one.before.worker
    if worker is None:
        return None
    if not holds:
        return SLOTS
    return worker_topic(worker) if one.ends and one.verdict is not Verdict.ADAPTER else None


class Revision(msgspec.Struct, frozen=True, gc=False):
    """A run that stays in its state has a new report, which may change its public status.

    `grace_until`: how long a run whose process is gone may now wait for its next report.
    """

    before: Run
    report: Report
    now: int
    grace_until: int | None = None


def revise(revisions: Sequence[Revision]) -> Steps[None]:
    """Write new reports of runs, none of them twice, that stay in their states."""
    if not revisions:
        return
    moved = [Moved(one.before, _status(one), one.now, None) for one in revisions]
    jobs = yield from hold(moved)
    rows = [
        {"id": one.before.id, "status": how.status, "report": encode(one.report), "fence": one.before.fence}
        | {"from": one.before.state}
        for one, how in zip(revisions, moved, strict=True)
    ]
    yield change_each("revise_run", rows)
    if graces := [
        {"id": one.before.id, "until": one.grace_until}
        for one in revisions
        if one.before.grace_until is not None and one.grace_until is not None
    ]:
        yield run_many("extend_grace", graces)
    yield from recount(jobs, moved, [_reported(how) for how in moved if how.counts])


def _reported(how: Moved) -> dict[str, Any]:
    """Return the event that an adapter's report has changed the public status of a run."""
    before = how.before
    return event(before.job_id, before.id, how.now, f"run.{how.status}", {"cause": Cause.REPORT.value, **facts(before)})


def _status(one: Revision) -> Status:
    return one.before.status if one.before.state in TERMINAL_RUNS else public_status(one.before.state, one.report.running)


def facts(of: Run) -> dict[str, Any]:
    """Return what every event about a run says: which benchmark of the job it carries out, and in which attempt."""
    return {"benchmark_index": of.index, **({"attempt": of.attempts} if of.attempts else {})}


def with_error(report: Report, message: Message) -> Report:
    """Return `report` with `message` as its error."""
    return msgspec.structs.replace(report, error_message=message)


class Loss(msgspec.Struct, frozen=True, gc=False):
    """A run cannot go on in the hands of its worker, for `code`. `delay`: microseconds until it may be leased again."""

    before: Run
    now: int
    code: str
    message: str
    delay: int = 0


def lose(losses: Sequence[Loss]) -> Steps[None]:
    """Give runs back to the queue because their workers are gone, or give those up that have no attempt left."""
    if not losses:
        return
    yield from end_attempts([Attempted(one.before, one.now, "lost", one.code, one.message) for one in losses])
    yield from let_go([one.before for one in losses if one.before.state in TERMINAL_RUNS])
    yield from move([back(one) for one in losses if one.before.state not in TERMINAL_RUNS])


class Attempted(NamedTuple):
    """An attempt of a worker that holds the run, and how it has ended."""

    before: Run
    now: int
    outcome: str
    code: str
    message: str
    exit_code: int | None = None


def end_attempts(ended: Sequence[Attempted]) -> Steps[None]:
    """Write attempts down now that they have ended; what is known of one that goes on is in the row of its run."""
    if ended:
        yield run_many("insert_attempt", [_attempt(one) for one in ended])


def _attempt(one: Attempted) -> dict[str, Any]:
    """Return the parameters of `insert_attempt`."""
    before = one.before
    return {
        "run_id": before.id,
        "number": before.attempts,
        "fence": before.fence,
        "worker": before.worker,
        "leased_at": before.leased_at,
        "started_at": before.started_at,
        "now": one.now,
        "outcome": one.outcome,
        "code": one.code,
        "message": one.message,
        "exit_code": one.exit_code,
    }


def let_go(ended: Sequence[Run]) -> Steps[None]:
    """Take the slots back of runs that have ended already."""
    if not ended:
        return
    yield run_many("let_go", [{"id": one.id, "fence": one.fence} for one in ended])
    yield [Signal(SLOTS)]


def back(lost: Loss) -> Move:
    """Return how a run goes back to the queue, or is given up where no attempt is left."""
    before = lost.before
    if before.attempts < before.max_attempts:
        why = {"code": lost.code, "message": lost.message[:_LONGEST_MESSAGE]}
        return Move(before=before, cause=Cause.LOSE, to=RunState.QUEUED, now=lost.now, delay=lost.delay, data=why)
    made = "1 was made" if before.attempts == 1 else f"{before.attempts} were made"
    return given_up(before, lost.now, Message(f"{lost.message} No attempt is left ({made}).", lost.code, "server"))


def given_up(before: Run, now: int, message: Message) -> Move:
    """Return how a run fails on the watchdog's own word; an adapter's later report may overrule it."""
    report = with_error(report_of(before), message)
    return Move(before=before, cause=Cause.GIVE_UP, to=RunState.FAILED, now=now, verdict=Verdict.WATCHDOG, report=report)
