"""How a run moves from state to state, and what must be written with it.

Every operation that ends, starts or returns a run goes through `move`, which checks the transition against the model, writes
the run, the job's counters and derived state, the event and the wake-ups, all in the transaction of its caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from assay.model.errors import JobIsTerminal
from assay.model.plan import Context
from assay.model.records import Run
from assay.model.results import Message, Report, Result, took_s
from assay.model.scores import job_test
from assay.model.states import (
    TERMINAL_JOBS,
    TERMINAL_RUNS,
    Cause,
    JobState,
    RunState,
    Status,
    Verdict,
    job_state,
    permitted,
    public_status,
)
from assay.store import notices
from assay.store.base import EVENTS, QUEUE, SLOTS, Row, Signal, Statement, Steps, job_topic, run, worker_topic
from assay.store.changes import JobMoved, RunMoved
from assay.store.exports import schedule
from assay.store.rows import encode, report_of

_context = msgspec.json.Decoder(Context)
_result = msgspec.json.Decoder(Result)

_LONGEST_MESSAGE = 1000
"""Most characters of a run's error that its event repeats."""

Moved = tuple[Run, Status, float | None]
"""A run as it was, its public status from now on, and the seconds that it took, if it ended of itself."""


def move(
    before: Run,
    cause: Cause,
    to: RunState,
    now: int,
    *,
    verdict: Verdict | None = None,
    report: Report | None = None,
    result: Result | None = None,
    keep_lease: bool = False,
    delay: int = 0,
    count: bool = True,
    data: dict[str, Any] | None = None,
) -> Steps[None]:
    """Take a run `to` another state for `cause` at `now`.

    `keep_lease`: the worker still has to stop the process; it keeps its claim on the slot until it says so. `delay`, in
    microseconds, is how long a run that goes back to the queue must wait. Without `count` the caller recounts the job.
    Raises JobIsTerminal for a forbidden step.
    """
    if not permitted(before.state, cause, to, before.verdict):
        raise JobIsTerminal(id=before.job_id, wanted=to.value, state=before.state.value)
    after = report if report is not None else report_of(before)
    ended, queued = to in TERMINAL_RUNS, to is RunState.QUEUED
    if queued:
        after = Report()
    holds = before.worker is not None and (keep_lease or not (ended or queued))
    status = public_status(to, after.running)
    changed = yield run(
        "update_run",
        id=before.id,
        to=to,
        status=status,
        worker=before.worker if holds else None,
        lease_expires_at=before.lease_expires_at if holds else None,
        grace_until=None,
        finished_at=now if ended else None,
        verdict=verdict,
        report=encode(after),
        queued_at=now if queued else before.queued_at,
        available_at=now + delay if queued else before.available_at,
        done=0 if queued else before.done,
        total=0 if queued else before.total,
        fence=before.fence,
        **{"from": before.state},
    )
    if not changed:
        raise JobIsTerminal(id=before.job_id, wanted=to.value, state="changed meanwhile")
    if result is not None:
        yield run("put_result", run_id=before.id, result=encode(result))
    elif before.result and (ended or queued):
        yield run("drop_result", run_id=before.id)
    error = after.error_message if to is RunState.FAILED else None
    why = {"code": error.message_code, "message": error.message[:_LONGEST_MESSAGE]} if error else {}
    yield from record(
        before.job_id, before.id, now, f"run.{to}", {"cause": cause.value, **facts(before), **why, **(data or {})}
    )
    if count:
        seconds = took_s(after, now) if to is RunState.COMPLETED or to is RunState.FAILED else None
        yield from recount(before.job_id, [(before, status, seconds)], now)
        if before.state in TERMINAL_RUNS and status is before.status:
            yield from _told_anew(before.job_id, now)
    if ended and holds and before.worker and verdict is not Verdict.ADAPTER:
        yield Signal(worker_topic(before.worker))
    if queued:
        yield Signal(QUEUE)
    if before.worker is not None and not holds:
        yield Signal(SLOTS)


def revise(before: Run, report: Report, now: int, grace_until: int | None = None) -> Steps[None]:
    """Write a new report of a run that stays in its state; a report that it runs may change its public status.

    `grace_until`: how long a run whose process is gone may now wait for its next report.
    """
    status = before.status if before.state in TERMINAL_RUNS else public_status(before.state, report.running)
    yield run("revise_run", id=before.id, status=status, report=encode(report), fence=before.fence, state=before.state)
    if status is not before.status:
        yield from record(before.job_id, before.id, now, f"run.{status}", {"cause": Cause.REPORT.value, **facts(before)})
    if before.grace_until is not None and grace_until is not None:
        yield run("extend_grace", id=before.id, until=grace_until)
    yield from recount(before.job_id, [(before, status, None)], now)


def recount(job_id: str, moved: Iterable[Moved], now: int, cancel: bool = False) -> Steps[None]:
    """Bring a job's counters and its derived state up to date after runs went to another status; tell who counts."""
    moved = [one for one in moved if one[1] is not one[0].status]
    if not moved and not cancel:
        yield run("touch_job", id=job_id, now=now)
        yield Signal(job_topic(job_id))
        return
    (row,) = yield run("job_to_change", id=job_id)
    counts = {status: row[f"n_{status}"] for status in Status}
    for before, status, seconds in moved:
        counts[before.status] -= 1
        counts[status] += 1
        yield RunMoved(row["tenant"], before.provider_id, before.benchmark_id, status, seconds)
    before_state, cancelled = JobState(row["state"]), bool(row["cancelled"]) or cancel
    state = job_state(counts, cancelled)
    test = b""
    if state is JobState.COMPLETED:
        test = (yield from _test(job_id, row)) if before_state is not state else row["test"]
    exports = row["exports"]
    if exports and state in TERMINAL_JOBS:
        exports = yield from schedule(job_id, exports, now)
    yield run(
        "update_job",
        id=job_id,
        state=state,
        cancelled=int(cancelled),
        now=now,
        test=test,
        exports=exports,
        **{f"n_{status}": counts[status] for status in Status},
    )
    if state is not before_state:
        yield from record(job_id, "", now, f"job.{state}", {})
        age_s = (now - row["created_at"]) / 1_000_000
        yield JobMoved(row["tenant"], row["first_provider"], row["collection"], before_state, state, age_s)
    if row["watched"]:
        version = row["version"] + 1
        news = notices.of_runs(row, moved, now, version)
        if state is not before_state:
            news.append(notices.of_state(row, state, now, version, test))
        yield from notices.tell(job_id, row["tenant"], news, now)
    yield Signal(job_topic(job_id))


def _told_anew(job_id: str, now: int) -> Steps[None]:
    """Export the card of a job again: nothing that counts has changed, but a benchmark has more to say."""
    (row,) = yield run("job_to_change", id=job_id)
    if row["exports"] and row["state"] in TERMINAL_JOBS:
        yield run("set_job_exports", id=job_id, exports=(yield from schedule(job_id, row["exports"], now)))


def _test(job_id: str, job: Row) -> Steps[bytes]:
    """Return the JSON of the weighted test of a completed job, empty where no benchmark was judged."""
    rows = []
    for row in (yield run("judged_runs", job_id=job_id)):
        test = _result.decode(row["result"]).test
        if test is not None:
            rows.append((row["idx"], _context.decode(row["context"]).criteria, test))
    verdict = job_test(rows, job["threshold"])
    return encode(verdict) if verdict else b""


def facts(of: Run) -> dict[str, Any]:
    """Return what every event about a run says: which benchmark of the job it carries out, and in which attempt."""
    return {"benchmark_index": of.index, **({"attempt": of.attempts} if of.attempts else {})}


def record(job_id: str, run_id: str, now: int, kind: str, data: dict[str, Any]) -> Steps[None]:
    """Append an event to a job's history, and wake those who follow it."""
    yield Statement("insert_event", event(job_id, run_id, now, kind, data))
    yield from told(job_id)


def event(job_id: str, run_id: str, now: int, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return an event as the parameters of `insert_event`."""
    return {"job_id": job_id, "run_id": run_id, "at": now, "type": kind, "data": encode(data)}


def told(*job_ids: str) -> Steps[None]:
    """Wake those who follow the histories of these jobs, to which events were appended."""
    for job_id in job_ids:
        yield Signal(job_topic(job_id))
    yield Signal(EVENTS)


def with_error(report: Report, message: Message) -> Report:
    """Return `report` with `message` as its error."""
    return msgspec.structs.replace(report, error_message=message)


def lose(before: Run, now: int, code: str, message: str, delay: int = 0) -> Steps[None]:
    """Give a run back to the queue because its worker is gone, or give it up where no attempt is left."""
    yield run(
        "end_attempt",
        run_id=before.id,
        number=before.attempts,
        now=now,
        outcome="lost",
        code=code,
        message=message,
        exit_code=None,
    )
    if before.state in TERMINAL_RUNS:
        yield from let_go(before)
    else:
        yield from requeue_or_give_up(before, now, code, message, delay)


def let_go(before: Run) -> Steps[None]:
    """Take the slot back of a run that has ended already."""
    yield run("let_go", id=before.id, fence=before.fence)
    yield Signal(SLOTS)


def requeue_or_give_up(before: Run, now: int, code: str, message: str, delay: int = 0) -> Steps[None]:
    """Give a run back to the queue for `code`, or give it up with `message` where no attempt is left."""
    if before.attempts < before.max_attempts:
        yield from requeue(before, now, code, message, delay)
    else:
        made = "1 was made" if before.attempts == 1 else f"{before.attempts} were made"
        yield from give_up(before, now, Message(f"{message} No attempt is left ({made}).", code, "server"))


def requeue(before: Run, now: int, code: str, message: str, delay: int) -> Steps[None]:
    """Give a run back to the queue, to be leased again after `delay` microseconds; `code` and `message` say why."""
    why = {"code": code, "message": message[:_LONGEST_MESSAGE]}
    yield from move(before, Cause.LOSE, RunState.QUEUED, now, delay=delay, data=why)


def give_up(before: Run, now: int, message: Message) -> Steps[None]:
    """Fail a run on the watchdog's own word; an adapter's later report may overrule it."""
    report = with_error(report_of(before), message)
    yield from move(
        before,
        Cause.GIVE_UP,
        RunState.FAILED,
        now,
        verdict=Verdict.WATCHDOG,
        report=report,
    )
