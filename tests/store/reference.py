"""What a store must do, in plain Python: the rules of the model applied to objects in memory, and nothing of any database.

The state machine drives this and a real store side by side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from assay.model.errors import JobIsTerminal, NotFound, StaleFence, UnknownWorker
from assay.model.records import NewJob
from assay.model.states import (
    HELD,
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


@dataclass
class Run:
    """A run, with the outcome of each of its attempts (empty: still going on)."""

    id: str
    job_id: str
    engine: str
    priority: int
    max_attempts: int
    available_at: int
    state: RunState = RunState.QUEUED
    reported_running: bool = False
    attempts: list[str] = field(default_factory=list)
    fence: int = 0
    worker: str | None = None
    expires: int | None = None
    grace_until: int | None = None
    verdict: Verdict | None = None
    finished_at: int | None = None
    has_result: bool = False

    @property
    def status(self) -> Status:
        return public_status(self.state, self.reported_running)

    def move(
        self, cause: Cause, to: RunState, now: int, verdict: Verdict | None = None, *, keep_lease: bool = False
    ) -> None:
        if not permitted(self.state, cause, to, self.verdict):
            raise JobIsTerminal(id=self.job_id, wanted=to.value, state=self.state.value)
        self.state, self.verdict, self.grace_until = to, verdict, None
        self.finished_at = now if to in TERMINAL_RUNS else None
        if to in TERMINAL_RUNS or to is RunState.QUEUED:
            self.has_result = False
            if not keep_lease:
                self.let_go()
        if to is RunState.QUEUED:
            self.reported_running = False

    def let_go(self) -> None:
        self.worker = self.expires = None

    def end_attempt(self, outcome: str) -> None:
        if self.attempts and not self.attempts[-1]:
            self.attempts[-1] = outcome

    def requeue_or_give_up(self, now: int, delay: int = 0) -> None:
        if len(self.attempts) < self.max_attempts:
            self.move(Cause.LOSE, RunState.QUEUED, now)
            self.available_at = now + delay
        else:
            self.move(Cause.GIVE_UP, RunState.FAILED, now, Verdict.WATCHDOG)

    def lose(self, now: int) -> None:
        self.end_attempt("lost")
        if self.state in TERMINAL_RUNS:
            self.let_go()
        else:
            self.requeue_or_give_up(now)


@dataclass
class Job:
    """A job: its runs, and whether a user cancelled it."""

    id: str
    runs: list[Run]
    cancelled: bool = False

    @property
    def state(self) -> JobState:
        return job_state(Counter(run.status for run in self.runs), self.cancelled)


@dataclass
class Reference:
    """Everything a store knows."""

    lease: int
    grace: int
    delay: int
    linger: int
    jobs: dict[str, Job] = field(default_factory=dict)
    workers: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)

    @property
    def runs(self) -> list[Run]:
        return [run for job in self.jobs.values() for run in job.runs]

    def submit(self, new: NewJob, now: int) -> None:
        runs = [Run(one.id, new.id, one.plan.engine, new.priority, new.max_attempts, now) for one in new.runs]
        self.jobs[new.id] = Job(new.id, runs)

    def cancel(self, job_id: str, now: int) -> None:
        job = self._job(job_id)
        if job.state is JobState.CANCELLED:
            return
        if job.state in TERMINAL_JOBS:
            raise JobIsTerminal(id=job_id, wanted="cancelled", state=job.state.value)
        job.cancelled = True
        for run in job.runs:
            if run.state not in TERMINAL_RUNS:
                run.move(Cause.CANCEL, RunState.CANCELLED, now, Verdict.USER, keep_lease=True)

    def cancel_run(self, job_id: str, index: int, now: int) -> None:
        job = self._job(job_id)
        if index >= len(job.runs):
            raise NotFound(kind="benchmark", id=str(index))
        run = job.runs[index]
        if run.state is not RunState.CANCELLED:
            run.move(Cause.CANCEL, RunState.CANCELLED, now, Verdict.USER, keep_lease=True)

    def delete(self, job_id: str) -> list[str]:
        job = self._job(job_id)
        del self.jobs[job_id]
        return [run.id for run in job.runs]

    def register(self, name: str, incarnation: str, engines: Sequence[str], now: int) -> None:
        if name in self.workers and self.workers[name][0] != incarnation:
            for run in self.runs:
                if run.worker == name:
                    run.lose(now)
        self.workers[name] = incarnation, frozenset(engines)

    def dismiss(self, name: str, incarnation: str, now: int) -> None:
        engines = self._engines(name, incarnation)
        for run in self.runs:
            if run.worker == name:
                run.lose(now)
        self.workers[name] = "", engines

    def take(self, name: str, incarnation: str, free: int, now: int) -> list[tuple[str, int, int]]:
        engines = self._engines(name, incarnation)
        queued = [run for run in self.runs if run.state is RunState.QUEUED and run.available_at <= now]
        ready = [run for run in queued if run.engine in engines]
        taken = sorted(ready, key=lambda run: (-run.priority, run.id))[:free]
        for run in taken:
            run.move(Cause.LEASE, RunState.LEASED, now)
            run.fence += 1
            run.attempts.append("")
            run.worker, run.expires = name, now + self.lease
        return [(run.id, run.fence, len(run.attempts)) for run in taken]

    def beat(self, name: str, incarnation: str, holding: Sequence[tuple[str, int]], now: int) -> list[str]:
        self._engines(name, incarnation)
        stop = []
        for run_id, fence in holding:
            run = next((run for run in self.runs if run.id == run_id), None)
            if run is None or run.worker != name or run.fence != fence:
                stop.append(run_id)
                continue
            run.expires = now + self.lease
            lingers = run.verdict is Verdict.ADAPTER and now - (run.finished_at or 0) <= self.linger
            if run.state not in HELD and not lingers:
                stop.append(run_id)
        return stop

    def start(self, run_id: str, fence: int, now: int) -> None:
        run = self._fenced(run_id, fence)
        if run.state not in HELD and run.verdict is not Verdict.ADAPTER:
            raise StaleFence(run=run_id, fence=fence)
        if run.state is RunState.LEASED:
            run.move(Cause.START, RunState.RUNNING, now)

    def end(self, run_id: str, fence: int, outcome: str, temporary: bool, now: int) -> None:
        run = self._fenced(run_id, fence)
        run.end_attempt(outcome)
        if run.state in TERMINAL_RUNS:
            run.let_go()
        elif outcome == "completed":
            run.move(Cause.FINISH, RunState.COMPLETED, now, Verdict.ENGINE)
            run.has_result = True
        elif outcome == "exited":
            run.state, run.grace_until = RunState.RUNNING, now + self.grace
            run.let_go()
        elif outcome == "released" or (temporary and len(run.attempts) < run.max_attempts):
            run.requeue_or_give_up(now, self.delay)
        else:
            run.move(Cause.FINISH, RunState.FAILED, now, Verdict.ENGINE)

    def report(self, job_id: str, index: int, status: Status, fence: int | None, now: int) -> None:
        job = self._job(job_id)
        run = job.runs[index] if index < len(job.runs) else None
        late = run is not None and run.verdict is Verdict.WATCHDOG
        repeated = run is not None and run.verdict is Verdict.ADAPTER and fence is not None
        if job.state in TERMINAL_JOBS and not (late or repeated):
            raise JobIsTerminal(id=job_id, wanted=status.value, state=job.state.value)
        if run is None:
            raise NotFound(kind="benchmark", id=str(index))
        if fence not in (None, run.fence):
            raise StaleFence(run=run.id, fence=fence)
        ends = status in (Status.COMPLETED, Status.FAILED)
        if run.state in TERMINAL_RUNS and not (ends and late):
            return
        if ends:
            run.move(Cause.REPORT, RunState(status.value), now, Verdict.ADAPTER, keep_lease=run.state in HELD)
            run.has_result = True
            return
        run.reported_running |= status is Status.RUNNING
        if run.grace_until is not None:
            run.grace_until = now + self.grace

    def lapse_leases(self, now: int) -> int:
        lapsed = [run for run in self.runs if run.expires is not None and run.expires <= now]
        for run in lapsed:
            run.lose(now)
        return len(lapsed)

    def lapse_graces(self, now: int) -> int:
        lapsed = [run for run in self.runs if run.grace_until is not None and run.grace_until <= now]
        for run in lapsed:
            run.move(Cause.GIVE_UP, RunState.FAILED, now, Verdict.WATCHDOG)
        return len(lapsed)

    def _job(self, job_id: str) -> Job:
        if job_id not in self.jobs:
            raise NotFound(kind="evaluation job", id=job_id)
        return self.jobs[job_id]

    def _engines(self, name: str, incarnation: str) -> frozenset[str]:
        known, engines = self.workers.get(name, (None, frozenset()))
        if known != incarnation or not incarnation:
            raise UnknownWorker(worker=name)
        return engines

    def _fenced(self, run_id: str, fence: int) -> Run:
        for run in self.runs:
            if run.id == run_id and run.fence == fence and run.worker is not None:
                return run
        raise StaleFence(run=run_id, fence=fence)
