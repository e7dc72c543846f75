"""Operations on one run: a worker starts and ends it, an adapter reports on it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import msgspec

from assay.model.errors import AssayError, ForeignBenchmark, JobIsTerminal, NotFound, StaleFence
from assay.model.plan import Context
from assay.model.protocol import Ending
from assay.model.records import Run
from assay.model.results import Message, Report, Result, full_schema, merge
from assay.model.scores import Criteria, judge
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
from assay.store.base import SLOTS, Row, Signal, Steps, alone, ask_each, run, run_many
from assay.store.counting import Moved, hold, recount
from assay.store.history import event
from assay.store.rows import listed, report_of, run_and_last, run_of

RETRY_DELAY = 1_000_000
"""Microseconds that a run waits for its next attempt after a temporary failure."""

_context = msgspec.json.Decoder(Context)


def _judged(context: bytes, report: Report, result: Result) -> tuple[Report, Result, Criteria]:
    """Return report and result with the benchmark's test, a warning where its criteria could not be applied, and those."""
    criteria = _context.decode(context).criteria
    test, warning = judge(criteria, result.metrics)
    if warning and report.warning_message is None:
        report = msgspec.structs.replace(report, warning_message=warning)
    schema = full_schema(result.metrics, result.metrics_schema)
    return report, msgspec.structs.replace(result, test=test, metrics_schema=schema), criteria


@dataclass(frozen=True)
class StartRun:
    """The worker has started the run's process. `at` is RFC 3339 text of `now`.

    It may come after the adapter's last report, which it met on the way: then there is nothing to note, and the adapter may
    linger. Raises StaleFence where the process has nothing to do any more.
    """

    run_id: str
    fence: int
    now: int
    at: str

    @property
    def keys(self) -> tuple[Hashable, ...]:
        return (self.run_id,)

    def steps(self) -> Steps[None]:
        return alone(self)

    @classmethod
    def together(cls, operations: Sequence[StartRun]) -> Steps[list[AssayError | None]]:
        rows = yield run("runs_to_change", ids=listed(one.run_id for one in operations))
        runs = {one.id: one for one in map(run_of, rows)}
        answers: list[AssayError | None] = []
        started: list[tuple[StartRun, Run]] = []
        for asked in operations:
            one = runs.get(asked.run_id)
            held = one is not None and one.fence == asked.fence and one.worker is not None
            if one is None or not held or (one.state not in HELD and one.verdict is not Verdict.ADAPTER):
                answers.append(StaleFence(run=asked.run_id, fence=asked.fence))
                continue
            answers.append(None)
            if one.state is RunState.LEASED:
                started.append((asked, one))
        yield from life.move([asked._move(one) for asked, one in started])
        return answers

    def _move(self, one: Run) -> life.Move:
        report = merge(Report(started_at=self.at), report_of(one))
        return life.Move(before=one, cause=Cause.START, to=RunState.RUNNING, now=self.now, report=report)


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

    @property
    def keys(self) -> tuple[Hashable, ...]:
        return (self.run_id,)

    def steps(self) -> Steps[None]:
        return alone(self)

    @classmethod
    def together(cls, operations: Sequence[EndRun]) -> Steps[list[AssayError | None]]:
        rows = yield run("runs_to_end", ids=listed(one.run_id for one in operations))
        runs = {one.id: (one, context) for one, context in map(run_and_last, rows)}
        answers: list[AssayError | None] = []
        ended: list[tuple[EndRun, Run]] = []
        silent: list[tuple[EndRun, Run]] = []
        freed: list[Run] = []
        moves: list[life.Move] = []
        for asked in operations:
            one, context = runs.get(asked.run_id, (None, b""))
            if one is None or one.fence != asked.ending.fence or one.worker is None:
                answers.append(StaleFence(run=asked.run_id, fence=asked.ending.fence))
                continue
            answers.append(None)
            ended.append((asked, one))
            if one.state in TERMINAL_RUNS:
                freed.append(one)
            elif asked.ending.outcome == "exited":
                silent.append((asked, one))
            else:
                moves.append(asked._move(one, context))
        yield from life.end_attempts([asked._attempt(one) for asked, one in ended])
        # Of two with one name the last counts.
        if artifacts := {
            (one.id, artifact.name): {"run_id": one.id, **msgspec.structs.asdict(artifact)}
            for asked, one in ended
            for artifact in asked.ending.artifacts
        }:
            yield run_many("put_artifact", list(artifacts.values()))
        yield from life.let_go(freed)
        yield from life.move(moves)
        yield from _await_reports(silent)
        return answers

    def _attempt(self, one: Run) -> life.Attempted:
        ending = self.ending
        return life.Attempted(one, self.now, ending.outcome, ending.code, ending.message, ending.exit_code)

    def _move(self, one: Run, context: bytes) -> life.Move:
        ending = self.ending
        if ending.outcome == "completed":
            return self._completed(one, context)
        if ending.outcome == "released":
            text = f"The worker '{one.worker}' gave the run back."
            return life.back(life.Loss(one, self.now, "released", text, self.delay))
        if ending.temporary and one.attempts < one.max_attempts:
            return life.back(life.Loss(one, self.now, ending.code, ending.message, self.delay))
        return self._failed(one)

    def _completed(self, one: Run, context: bytes) -> life.Move:
        ending = self.ending
        warning = Message(ending.warning, "evaluation_warning", "runtime") if ending.warning else None
        report = merge(report_of(one), Report(completed_at=self.at, phase="completed", warning_message=warning))
        result = Result(
            metrics=ending.metrics,
            additional_info=ending.additional_info,
            artifacts={artifact.name: {"digest": artifact.digest, "size": artifact.size} for artifact in ending.artifacts},
        )
        report, result, criteria = _judged(context, report, result)
        return self._finished(one, RunState.COMPLETED, report, result, criteria)

    def _failed(self, one: Run) -> life.Move:
        ending = self.ending
        message = Message(ending.message, ending.code, ending.origin)
        report = merge(report_of(one), Report(completed_at=self.at, error_message=message))
        result = Result(metrics=ending.metrics, additional_info=ending.additional_info) if ending.metrics else None
        return self._finished(one, RunState.FAILED, report, result)

    def _finished(
        self, one: Run, to: RunState, report: Report, result: Result | None, criteria: Criteria | None = None
    ) -> life.Move:
        return life.Move(
            before=one,
            cause=Cause.FINISH,
            to=to,
            now=self.now,
            verdict=Verdict.ENGINE,
            report=report,
            result=result,
            criteria=criteria,
        )


def _await_reports(silent: Sequence[tuple[EndRun, Run]]) -> Steps[None]:
    """Free the slots of runs whose processes went silently; they run on until their grace is over or somebody reports."""
    if not silent:
        return
    moved = [Moved(one, Status.RUNNING, asked.now) for asked, one in silent]
    jobs = yield from hold(moved)
    graces = [
        {"id": one.id, "fence": one.fence, "until": asked.now + asked.grace, "status": Status.RUNNING}
        for asked, one in silent
    ]
    yield run_many("begin_grace", graces)
    yield [Signal(SLOTS)]
    exits = [
        event(one.job_id, one.id, asked.now, "run.exited", {"exit_code": asked.ending.exit_code, **life.facts(one)})
        for asked, one in silent
    ]
    yield from recount(jobs, moved, exits)


@dataclass(frozen=True)
class ReportRun:
    """Somebody reports on a benchmark of a job: an adapter, through its gateway (with a fence) or by hand (without).

    `status` is pending, running, completed or failed. A terminal report ends the run whoever holds it; the first one counts,
    except that it replaces a failure that only the watchdog set.

    Raises NotFound, JobIsTerminal, ForeignBenchmark, StaleFence.
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
    run_id: str = ""
    """The run whose adapter reports, where that is known."""

    @property
    def keys(self) -> tuple[Hashable, ...]:
        return ((self.job_id, self.index),)

    def steps(self) -> Steps[None]:
        return alone(self)

    @classmethod
    def together(cls, operations: Sequence[ReportRun]) -> Steps[list[AssayError | None]]:
        places = sorted((one.job_id, one.index) for one in operations)
        rows = yield ask_each("run_to_report", [{"job_id": job_id, "idx": index} for job_id, index in places])
        runs = {(row["job_id"], row["idx"]): row for row in rows}
        answers: list[AssayError | None] = []
        revisions: list[life.Revision] = []
        moves: list[life.Move] = []
        for asked in operations:
            row = runs.get((asked.job_id, asked.index))
            try:
                one = yield from asked._run(row)
            except AssayError as refusal:
                answers.append(refusal)
                continue
            answers.append(None)
            if one.state in TERMINAL_RUNS and not (asked._ends and one.verdict is Verdict.WATCHDOG):
                continue
            if asked._ends:
                assert row is not None
                moves.append(asked._move(one, row["context"]))
            else:
                revisions.append(asked._revision(one))
        yield from life.revise(revisions)
        yield from life.move(moves)
        return answers

    @property
    def _ends(self) -> bool:
        return self.status in (Status.COMPLETED, Status.FAILED)

    def _revision(self, one: Run) -> life.Revision:
        running = self.status is Status.RUNNING
        report = merge(report_of(one), msgspec.structs.replace(self.report, running=running))
        if running and not report.started_at:
            report = msgspec.structs.replace(report, started_at=self.at)
        return life.Revision(one, report, self.now, self.now + self.grace)

    def _move(self, one: Run, context: bytes) -> life.Move:
        before = report_of(one)
        if one.state in TERMINAL_RUNS:
            before = msgspec.structs.replace(before, error_message=None)
        report = merge(before, self.report)
        if not report.completed_at:
            report = msgspec.structs.replace(report, completed_at=self.at)
        result, criteria = self.result or Result(), None
        if self.status is Status.COMPLETED or result.metrics:
            report, result, criteria = _judged(context, report, result)
        return life.Move(
            before=one,
            cause=Cause.REPORT,
            to=RunState(self.status.value),
            now=self.now,
            verdict=Verdict.ADAPTER,
            report=report,
            result=result,
            criteria=criteria,
            keep_lease=one.state in HELD,
        )

    def _run(self, row: Row | None) -> Steps[Run]:
        """Return the run that the report is about, once it is clear that the report may be taken."""
        job = row or next(iter((yield run("job_version", id=self.job_id))), None)
        if job is None or self.tenant not in (None, job["tenant"]):
            raise NotFound(kind="evaluation job", id=self.job_id)
        job_state = job["state"] if row is None else row["job_state"]
        one = (
            run_of(row)
            if row and (row["provider_id"], row["benchmark_id"]) == (self.provider_id, self.benchmark_id)
            else None
        )
        overrules = one is not None and one.verdict is Verdict.WATCHDOG
        # A gateway repeats a report whose answer was lost; the repetition is no error.
        repeated = one is not None and self.fence is not None and one.verdict is Verdict.ADAPTER
        if job_state in TERMINAL_JOBS and not (overrules or repeated):
            raise JobIsTerminal(id=self.job_id, wanted="running", state=job_state)
        if one is None:
            raise NotFound(kind="benchmark", id=self.benchmark_id)
        if self.run_id and one.id != self.run_id:
            raise ForeignBenchmark(id=self.benchmark_id, index=self.index)
        if self.fence is not None and one.fence != self.fence:
            raise StaleFence(run=one.id, fence=self.fence)
        return one
