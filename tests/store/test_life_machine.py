"""A store and a reference in plain Python live the same life, whatever happens in whatever order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from assay.model.errors import AssayError, JobIsTerminal, NotFound
from assay.model.protocol import OUTCOMES, Ending, Heartbeat, Holding, Registration
from assay.model.records import Job, NewJob, Run
from assay.model.results import Report
from assay.model.states import HELD, TERMINAL_RUNS, Status, Verdict
from assay.store.base import Operation
from assay.store.jobs import CancelJob, CancelRun, CreateJob, DeleteJob
from assay.store.leases import LINGER, DismissWorker, LapseGraces, LapseLeases, RegisterWorker, RenewLeases
from assay.store.queries import AttemptsOfRun, JobWithRuns
from assay.store.queue import TakeRuns
from assay.store.rows import report_of
from assay.store.runs import EndRun, ReportRun, StartRun

from .conftest import empty_store
from .life import DELAY, GRACE, LEASE, SECOND, Life, new_job
from .reference import Reference

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
EXTENT = settings(max_examples=500, stateful_step_count=80) if LONG else settings(max_examples=60, stateful_step_count=40)

PICK = st.integers(0, 5_000)
"""Chooses from whatever there is to choose from at the moment."""
SELDOM = st.integers(0, 9).map(lambda value: value == 9)
ENGINES = ["adapter", "lm_eval"]
WORKERS = st.sampled_from(["a", "b"])


def visible(job: Job, runs: list[Run]) -> tuple[Any, ...]:
    """What users see of a job; its version must say when that changes."""
    rows = []
    for run in runs:
        attempts = run.attempts if run.attempts > 1 else 0
        progress = (run.done, run.total) if run.state in HELD and run.total else None
        rows.append((run.status, run.report, run.result, run.finished_at, attempts, progress))
    return job.state, job.cancelled, job.test, rows


def outcome_of(act: Callable[[], Any]) -> Any:
    """What a call returns, or the error that it raises."""
    try:
        return act()
    except AssayError as refusal:
        return refusal


def refusal_of(outcome: Any) -> type[AssayError] | None:
    return type(outcome) if isinstance(outcome, AssayError) else None


class LifeMachine(RuleBasedStateMachine):
    """Does everything twice and compares."""

    dialect: ClassVar[str]
    request: ClassVar[pytest.FixtureRequest]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()

    @initialize()
    def open(self) -> None:
        self.opening = empty_store(self.dialect, self.request)
        self.life = Life(self.wait(self.opening.__aenter__()))
        self.reference = Reference(LEASE, GRACE, DELAY, LINGER)
        self.jobs: list[NewJob] = []
        self.leases: list[tuple[str, int]] = []
        self.seen: dict[str, tuple[int, tuple[Any, ...]]] = {}
        self.ended: dict[str, tuple[Any, ...]] = {}
        self.incarnations = 0
        for name, engines in (("a", ENGINES), ("b", ENGINES[:1])):
            self.register(name, engines)
        self.submit(3, 0, 2, "adapter")

    def teardown(self) -> None:
        if hasattr(self, "life"):
            self.wait(self.opening.__aexit__(None, None, None))
        self.loop.close()

    def wait(self, what: Awaitable[Any]) -> Any:
        async def waiting() -> Any:
            return await what

        return self.loop.run(waiting())

    def both(self, operation: Operation[Any], expected: Callable[[], Any]) -> tuple[Any, Any] | None:
        """Apply an operation to the store and to the reference; return both answers, or None where both refuse alike."""
        (answer,) = self.wait(self.life.store.transact([operation]))
        wanted = outcome_of(expected)
        if isinstance(answer, AssayError) or isinstance(wanted, AssayError):
            assert type(answer) is type(wanted), (operation, answer, wanted)
            return None
        return answer, wanted

    def job(self, pick: int, gone: bool = False) -> NewJob:
        """A job that exists, if there is one; `gone`: any that ever did."""
        there = [job for job in self.jobs if gone or job.id in self.reference.jobs] or self.jobs
        return there[-1 - pick % len(there)]

    def lease(self, pick: int, stale: bool = False) -> tuple[str, int]:
        """A lease that a worker still has, if there is one; `stale`: any that ever was."""
        held = {(run.id, run.fence) for run in self.reference.runs if run.worker}
        there = [lease for lease in self.leases if stale or lease in held] or self.leases
        return there[-1 - pick % len(there)]

    def incarnation(self, name: str, stale: bool) -> str:
        return "stale" if stale else self.reference.workers[name][0]

    @rule(runs=st.integers(1, 3), priority=st.integers(-1, 1), attempts=st.integers(1, 3), engine=st.sampled_from(ENGINES))
    @precondition(lambda self: len(self.reference.jobs) < 6)
    def submit(self, runs: int, priority: int, attempts: int, engine: str) -> None:
        job = new_job(self.life.new_id, runs, priority=priority, max_attempts=attempts, engines=[engine])
        self.jobs.append(job)
        self.both(CreateJob(job, self.life.now), lambda: self.reference.submit(job, self.life.now))

    @rule(name=WORKERS, engines=st.sampled_from([ENGINES, ENGINES[:1]]), again=SELDOM)
    def register(self, name: str, engines: list[str], again: bool = False) -> None:
        self.incarnations += not again
        incarnation = self.incarnation(name, False) if again else str(self.incarnations)
        registration = Registration(name=name, incarnation=incarnation, slots=4, engines=dict.fromkeys(engines, "1"))
        self.both(
            RegisterWorker(registration, self.life.now),
            lambda: self.reference.register(name, incarnation, engines, self.life.now),
        )

    @rule(name=WORKERS, stale=SELDOM, really=SELDOM)
    def dismiss(self, name: str, stale: bool, really: bool) -> None:
        if really:
            incarnation = self.incarnation(name, stale)
            self.both(
                DismissWorker(name, incarnation, self.life.now),
                lambda: self.reference.dismiss(name, incarnation, self.life.now),
            )

    @rule(name=WORKERS, free=st.integers(0, 4).map(lambda few: 4 - few), stale=SELDOM)
    def take(self, name: str, free: int, stale: bool) -> None:
        incarnation = self.incarnation(name, stale)
        answers = self.both(
            TakeRuns(name, incarnation, free, self.life.now, LEASE),
            lambda: self.reference.take(name, incarnation, free, self.life.now),
        )
        if answers:
            taken, wanted = answers
            leases = taken.leases
            assert [(lease.run_id, lease.fence, lease.attempt) for lease in leases] == wanted
            self.leases += [(lease.run_id, lease.fence) for lease in leases]

    @rule(
        name=WORKERS,
        picks=st.lists(st.tuples(PICK, SELDOM), max_size=4),
        done=st.integers(0, 3),
        phase=st.sampled_from(["", "post_processing"]),
        stale=SELDOM,
    )
    def beat(self, name: str, picks: list[tuple[int, bool]], done: int, phase: str, stale: bool) -> None:
        incarnation = self.incarnation(name, stale)
        held = list(dict.fromkeys(self.lease(*pick) for pick in picks)) if self.leases else []
        holding = [Holding(run_id, fence, done, 3 if done else 0, phase) for run_id, fence in held]
        answers = self.both(
            RenewLeases(name, Heartbeat(incarnation, holding), self.life.now, LEASE),
            lambda: self.reference.beat(name, incarnation, held, self.life.now),
        )
        if answers:
            assert answers[0].stop == answers[1]

    @rule(pick=PICK, stale=SELDOM)
    @precondition(lambda self: self.leases)
    def start(self, pick: int, stale: bool) -> None:
        run_id, fence = self.lease(pick, stale)
        self.both(
            StartRun(run_id, fence, self.life.now, self.life.at), lambda: self.reference.start(run_id, fence, self.life.now)
        )

    @rule(pick=PICK, stale=SELDOM, outcome=st.sampled_from(sorted(OUTCOMES)), temporary=st.booleans())
    @precondition(lambda self: self.leases)
    def end(self, pick: int, stale: bool, outcome: str, temporary: bool) -> None:
        run_id, fence = self.lease(pick, stale)
        metrics = {"acc": 0.5} if outcome == "completed" else {}
        ending = Ending(fence=fence, outcome=outcome, code="c", message="m", temporary=temporary, metrics=metrics)
        self.both(
            EndRun(run_id, ending, self.life.now, self.life.at, GRACE, DELAY),
            lambda: self.reference.end(run_id, fence, outcome, temporary, self.life.now),
        )

    @rule(
        pick=PICK,
        gone=SELDOM,
        index=st.integers(0, 3),
        status=st.sampled_from([Status.PENDING, Status.RUNNING, Status.COMPLETED, Status.FAILED]),
        behind=st.none() | st.integers(0, 1),
        phase=st.sampled_from(["", "loading_data"]),
    )
    def report(self, pick: int, gone: bool, index: int, status: Status, behind: int | None, phase: str) -> None:
        """`behind`: how many leases ago the adapter's fence was given; without it the report is sent by hand."""
        job = self.job(pick, gone)
        known = self.reference.jobs.get(job.id)
        fence = None
        if behind is not None and known and index < len(known.runs):
            fence = known.runs[index].fence - behind
        operation = ReportRun(
            job_id=job.id,
            tenant=None,
            provider_id="p",
            benchmark_id=f"b{index}",
            index=index,
            status=status,
            report=Report(phase=phase),
            result=None,
            now=self.life.now,
            at=self.life.at,
            grace=GRACE,
            fence=fence,
        )
        self.both(operation, lambda: self.reference.report(job.id, index, status, fence, self.life.now))

    def all_of(self, operations: list[Operation[Any]], expected: list[Callable[[], Any]]) -> None:
        """Apply operations in one call, which carries those of one class out together; the reference does one by one."""
        answers = self.wait(self.life.store.transact(operations))
        for operation, answer, act in zip(operations, answers, expected, strict=True):
            wanted = outcome_of(act)
            # Another of them may end the job before or after: what is answered depends on that, what is kept does not.
            late = refusal_of(wanted) is JobIsTerminal and refusal_of(answer) in (None, NotFound)
            assert late or refusal_of(answer) is refusal_of(wanted), (operation, answer, wanted)

    @rule(picks=st.lists(st.tuples(PICK, SELDOM), min_size=2, max_size=5))
    @precondition(lambda self: self.leases)
    def start_several(self, picks: list[tuple[int, bool]]) -> None:
        leases, now = [self.lease(*pick) for pick in picks], self.life.now
        self.all_of(
            [StartRun(run_id, fence, now, self.life.at) for run_id, fence in leases],
            [partial(self.reference.start, run_id, fence, now) for run_id, fence in leases],
        )

    @rule(picks=st.lists(st.tuples(PICK, SELDOM, st.sampled_from(sorted(OUTCOMES))), min_size=2, max_size=5))
    @precondition(lambda self: self.leases)
    def end_several(self, picks: list[tuple[int, bool, str]]) -> None:
        now, operations, expected = self.life.now, list[Operation[Any]](), list[Callable[[], Any]]()
        for pick, stale, outcome in picks:
            run_id, fence = self.lease(pick, stale)
            ending = Ending(fence=fence, outcome=outcome, metrics={"acc": 0.5} if outcome == "completed" else {})
            operations.append(EndRun(run_id, ending, now, self.life.at, GRACE, DELAY))
            expected.append(partial(self.reference.end, run_id, fence, outcome, False, now))
        self.all_of(operations, expected)

    @rule(
        picks=st.lists(
            st.tuples(PICK, st.integers(0, 3), st.sampled_from([Status.RUNNING, Status.COMPLETED, Status.FAILED])),
            min_size=2,
            max_size=5,
        )
    )
    def report_several(self, picks: list[tuple[int, int, Status]]) -> None:
        now, operations, expected = self.life.now, list[Operation[Any]](), list[Callable[[], Any]]()
        for pick, index, status in picks:
            job = self.job(pick)
            operations.append(
                ReportRun(job.id, None, "p", f"b{index}", index, status, Report(), None, now, self.life.at, GRACE)
            )
            expected.append(partial(self.reference.report, job.id, index, status, None, now))
        self.all_of(operations, expected)

    @rule(asked=st.lists(st.tuples(WORKERS, st.integers(0, 2), SELDOM), min_size=2, max_size=4))
    def take_several(self, asked: list[tuple[str, int, bool]]) -> None:
        asking = [(name, self.incarnation(name, stale), free) for name, free, stale in asked]
        now = self.life.now
        answers = self.wait(
            self.life.store.transact([TakeRuns(name, incarnation, free, now, LEASE) for name, incarnation, free in asking])
        )
        for (name, incarnation, free), answer in zip(asking, answers, strict=True):
            wanted = outcome_of(partial(self.reference.take, name, incarnation, free, now))
            if isinstance(wanted, AssayError):
                assert type(answer) is type(wanted)
                continue
            assert [(lease.run_id, lease.fence, lease.attempt) for lease in answer.leases] == wanted
            self.leases += [(lease.run_id, lease.fence) for lease in answer.leases]

    @rule(pick=PICK, gone=SELDOM)
    def cancel(self, pick: int, gone: bool) -> None:
        job = self.job(pick, gone)
        self.both(CancelJob(job.id, None, self.life.now), lambda: self.reference.cancel(job.id, self.life.now))

    @rule(pick=PICK, gone=SELDOM, index=st.integers(0, 3))
    def cancel_run(self, pick: int, gone: bool, index: int) -> None:
        job = self.job(pick, gone)
        self.both(
            CancelRun(job.id, index, None, self.life.now), lambda: self.reference.cancel_run(job.id, index, self.life.now)
        )

    @rule(pick=PICK, gone=SELDOM)
    @precondition(lambda self: len(self.reference.jobs) > 3)
    def delete(self, pick: int, gone: bool) -> None:
        job = self.job(pick, gone)
        answers = self.both(DeleteJob(job.id, None, self.life.now), lambda: self.reference.delete(job.id))
        if answers:
            assert answers[0] == answers[1]

    @rule(step=st.sampled_from([1, SECOND, DELAY, GRACE, LEASE - 1, LEASE, LINGER + 1]))
    def later(self, step: int) -> None:
        self.life.later(step)
        for operation, expected in (
            (LapseLeases(self.life.now), self.reference.lapse_leases),
            (LapseGraces(self.life.now), self.reference.lapse_graces),
        ):
            answer = self.wait(self.life.store.apply(operation))
            assert answer == expected(self.life.now)

    @invariant()
    def the_store_and_the_reference_say_the_same(self) -> None:
        for new in self.jobs:
            found = self.wait(self.life.store.lookup(JobWithRuns(new.id)))
            job = self.reference.jobs.get(new.id)
            assert (found is None) is (job is None)
            if job is None:
                continue
            stored, runs = found
            assert (stored.state, stored.cancelled) == (job.state, job.cancelled)
            for run, wanted in zip(runs, job.runs, strict=True):
                assert (run.state, run.status, run.verdict) == (wanted.state, wanted.status, wanted.verdict)
                assert (run.fence, run.attempts, run.worker) == (wanted.fence, len(wanted.attempts), wanted.worker)
                assert (run.lease_expires_at, run.grace_until) == (wanted.expires, wanted.grace_until)
                assert (run.finished_at, bool(run.result)) == (wanted.finished_at, wanted.has_result)
                if run.state not in TERMINAL_RUNS:
                    assert run.available_at == wanted.available_at
                    assert report_of(run).running == wanted.reported_running

    @invariant()
    def an_attempt_is_open_exactly_while_a_worker_has_the_run(self) -> None:
        for wanted in self.reference.runs:
            attempts = self.wait(self.life.store.lookup(AttemptsOfRun(wanted.id)))
            assert [attempt.outcome for attempt in attempts] == wanted.attempts
            assert [attempt.number for attempt in attempts] == list(range(1, len(attempts) + 1))
            still_going_on = [attempt for attempt in attempts if attempt.ended_at is None]
            assert [attempt.worker for attempt in still_going_on] == ([wanted.worker] if wanted.worker else [])

    @invariant()
    def what_has_ended_stays_unless_only_the_watchdog_said_so(self) -> None:
        ended = {
            run.id: (run.state, run.verdict, run.finished_at) for run in self.reference.runs if run.state in TERMINAL_RUNS
        }
        for run_id, before in self.ended.items():
            after = ended.get(run_id)
            assert after in (None, before) or before[1] is Verdict.WATCHDOG
        assert {run.id for run in self.reference.runs} & self.ended.keys() <= ended.keys()
        self.ended = ended

    @invariant()
    def a_new_version_says_that_something_visible_changed(self) -> None:
        for job_id in self.reference.jobs:
            job, runs = self.wait(self.life.store.lookup(JobWithRuns(job_id)))
            version, sight = self.seen.get(job_id, (0, ()))
            assert job.version >= version
            if visible(job, runs) != sight:
                assert job.version > version, (sight, visible(job, runs))
            self.seen[job_id] = job.version, visible(job, runs)

    @invariant()
    def the_counters_are_what_counting_gives(self) -> None:
        self.wait(self.life.check_counters())


def test_a_store_lives_as_the_reference_does(dialect: str, request: pytest.FixtureRequest) -> None:
    machine = type(f"LifeOn{dialect.title()}", (LifeMachine,), {"dialect": dialect, "request": request})
    run_state_machine_as_test(machine, settings=EXTENT)
