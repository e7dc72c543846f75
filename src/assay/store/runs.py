"""Operations on one run: a worker starts and ends it, an adapter reports on it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from assay.model.errors import JobIsTerminal, NotFound, StaleFence
from assay.model.plan import Context
from assay.model.protocol import Ending
from assay.model.records import Run
from assay.model.results import Message, Report, Result, full_schema, merge
from assay.model.scores import judge
from assay.model.states import (
    HELD,
    TERMINAL_JOBS,
    TERMINAL_RUNS,
    Cause,
    RunState,
    Status,
    Verdict,
)
from assay.store import life
from assay.store.base import SLOTS, Row, Signal, Steps, run
from assay.store.rows import report_of, run_of

RETRY_DELAY = 1_000_000
"""Microseconds that a run waits for its next attempt after a temporary failure."""

_context = msgspec.json.Decoder(Context)


def _fenced(run_id: str, fence: int, asked: str = "run_to_change") -> Steps[Row]:
    """Return the row of a run if `fence` is that of its present lease, else raise StaleFence."""
    rows = yield run(asked, id=run_id)
    if not rows or rows[0]["fence"] != fence or rows[0]["worker"] is None:
        raise StaleFence(run=run_id, fence=fence)
    return rows[0]


def _judged(context: bytes, report: Report, result: Result) -> tuple[Report, Result]:
    """Return report and result with the benchmark's test, and a warning where its criteria could not be applied."""
    test, warning = judge(_context.decode(context).criteria, result.metrics)
    if warning and report.warning_message is None:
        report = msgspec.structs.replace(report, warning_message=warning)
    schema = full_schema(result.metrics, result.metrics_schema)
    return report, msgspec.structs.replace(result, test=test, metrics_schema=schema)


@dataclass(frozen=True)
class StartRun:
    """The worker has started the run's process. `at` is RFC 3339 text of `now`."""

    run_id: str
    fence: int
    now: int
    at: str

    def steps(self) -> Steps[None]:
        one = run_of((yield from _fenced(self.run_id, self.fence)))
        if one.state not in HELD:
            raise StaleFence(run=self.run_id, fence=self.fence)
        if one.state is RunState.RUNNING:
            return
        yield run("start_attempt", run_id=one.id, number=one.attempts, now=self.now)
        report = merge(Report(started_at=self.at), report_of(one))
        yield from life.move(one, Cause.START, RunState.RUNNING, self.now, report=report)


@dataclass(frozen=True)
class EndRun:
    """The worker says how its attempt ended, and gives the slot back.

    `grace` (microseconds) is how long a run whose process went away silently waits for a report of somebody else; `delay`
    how long one that failed for a temporary reason waits for its next attempt. `at` is RFC 3339 text of `now`.
    """

    run_id: str
    ending: Ending
    now: int
    at: str
    grace: int
    delay: int = RETRY_DELAY

    def steps(self) -> Steps[None]:
        ending = self.ending
        row = yield from _fenced(self.run_id, ending.fence, "run_to_end")
        one = run_of(row)
        yield run(
            "end_attempt",
            run_id=one.id,
            number=one.attempts,
            now=self.now,
            outcome=ending.outcome,
            code=ending.code,
            message=ending.message,
            exit_code=ending.exit_code,
        )
        for artifact in ending.artifacts:
            yield run("put_artifact", run_id=one.id, **msgspec.structs.asdict(artifact))
        if one.state in TERMINAL_RUNS:
            yield from life.let_go(one)
        elif ending.outcome == "completed":
            yield from self._completed(one, row["context"])
        elif ending.outcome == "exited":
            yield from self._exited(one)
        elif ending.outcome == "released":
            yield from self._given_back(one)
        elif ending.temporary:
            yield from self._again(one)
        else:
            yield from self._failed(one)

    def _completed(self, one: Run, context: bytes) -> Steps[None]:
        ending = self.ending
        warning = Message(ending.warning, "evaluation_warning", "runtime") if ending.warning else None
        report = merge(report_of(one), Report(completed_at=self.at, phase="completed", warning_message=warning))
        result = Result(
            metrics=ending.metrics,
            additional_info=ending.additional_info,
            artifacts={artifact.name: {"digest": artifact.digest, "size": artifact.size} for artifact in ending.artifacts},
        )
        report, result = _judged(context, report, result)
        yield from life.move(
            one, Cause.FINISH, RunState.COMPLETED, self.now, verdict=Verdict.ENGINE, report=report, result=result
        )

    def _failed(self, one: Run) -> Steps[None]:
        ending = self.ending
        message = Message(ending.message, ending.code, ending.origin)
        report = merge(report_of(one), Report(completed_at=self.at, error_message=message))
        result = None
        if ending.metrics:
            result = Result(metrics=ending.metrics, additional_info=ending.additional_info)
        yield from life.move(
            one,
            Cause.FINISH,
            RunState.FAILED,
            self.now,
            verdict=Verdict.ENGINE,
            report=report,
            result=result,
        )

    def _again(self, one: Run) -> Steps[None]:
        if one.attempts < one.max_attempts:
            yield from life.requeue(one, self.now, self.ending.code, self.ending.message, self.delay)
        else:
            yield from self._failed(one)

    def _given_back(self, one: Run) -> Steps[None]:
        text = f"The worker '{one.worker}' gave the run back."
        yield from life.requeue_or_give_up(one, self.now, "released", text, self.delay)

    def _exited(self, one: Run) -> Steps[None]:
        """Free the slot, and leave the run running until its grace is over or somebody reports."""
        yield run("begin_grace", id=one.id, fence=one.fence, until=self.now + self.grace, status=Status.RUNNING)
        yield Signal(SLOTS)
        said = {"exit_code": self.ending.exit_code, **life.facts(one)}
        yield from life.record(one.job_id, one.id, self.now, "run.exited", said)
        yield from life.recount(one.job_id, [(one, Status.RUNNING, None)], self.now)


@dataclass(frozen=True)
class ReportRun:
    """Somebody reports on a benchmark of a job: an adapter, through its gateway (with a fence) or by hand (without).

    `status` is pending, running, completed or failed. A terminal report ends the run whoever holds it; the first one counts,
    except that it replaces a failure that only the watchdog set. Raises NotFound, JobIsTerminal, StaleFence.
    """

    job_id: str
    tenant: str | None
    provider_id: str
    benchmark_id: str
    index: int
    status: Status
    report: Report
    result: Result | None
    now: int
    at: str
    grace: int
    fence: int | None = None

    def steps(self) -> Steps[None]:
        one = yield from self._run()
        ends = self.status in (Status.COMPLETED, Status.FAILED)
        if one.state in TERMINAL_RUNS and not (ends and one.verdict is Verdict.WATCHDOG):
            return
        if not ends:
            running = self.status is Status.RUNNING
            report = merge(report_of(one), msgspec.structs.replace(self.report, running=running))
            if running and not report.started_at:
                report = msgspec.structs.replace(report, started_at=self.at)
            yield from life.revise(one, report, self.now, self.now + self.grace)
            return
        before = report_of(one)
        if one.state in TERMINAL_RUNS:
            before = msgspec.structs.replace(before, error_message=None)
        report = merge(before, self.report)
        if not report.completed_at:
            report = msgspec.structs.replace(report, completed_at=self.at)
        result = self.result or Result()
        if self.status is Status.COMPLETED or result.metrics:
            (row,) = yield run("plan", run_id=one.id)
            report, result = _judged(row["context"], report, result)
        yield from life.move(
            one,
            Cause.REPORT,
            RunState(self.status.value),
            self.now,
            verdict=Verdict.ADAPTER,
            report=report,
            result=result,
            keep_lease=one.state in HELD,
        )

    def _run(self) -> Steps[Run]:
        """Return the run that the report is about, once it is clear that the report may be taken."""
        rows = yield run("run_to_report", job_id=self.job_id, idx=self.index)
        job = rows or (yield run("job_version", id=self.job_id))
        if not job or self.tenant not in (None, job[0]["tenant"]):
            raise NotFound(kind="evaluation job", id=self.job_id)
        job_state = job[0]["job_state" if rows else "state"]
        known = rows and (rows[0]["provider_id"], rows[0]["benchmark_id"]) == (self.provider_id, self.benchmark_id)
        overrules = known and rows[0]["verdict"] == Verdict.WATCHDOG
        # A gateway repeats a report whose answer was lost; the repetition is no error.
        repeated = known and self.fence is not None and rows[0]["verdict"] == Verdict.ADAPTER
        if job_state in TERMINAL_JOBS and not (overrules or repeated):
            raise JobIsTerminal(id=self.job_id, wanted="running", state=job_state)
        if not known:
            raise NotFound(kind="benchmark", id=self.benchmark_id)
        if self.fence is not None and rows[0]["fence"] != self.fence:
            raise StaleFence(run=rows[0]["id"], fence=self.fence)
        return run_of(rows[0])
