"""What a worker says at one time is true at one time: a start with a report or an end, an end with the next lease."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from assay.model.errors import AssayError, StaleFence
from assay.model.protocol import Ending, Lease
from assay.model.quotas import Quota, Quotas
from assay.model.records import NewJob
from assay.model.results import Report
from assay.model.states import RunState, Status, WorkerState
from assay.scheduler.handover import HandOver, StartAndReport, started_before
from assay.scheduler.identifiers import rfc3339
from assay.store.queue import Taken, TakeRuns
from assay.store.runs import EndRun, ReportRun, StartRun
from tests.store.conftest import anyio_backend, dialect, empty_store, life, store
from tests.store.life import DELAY, GRACE, LEASE, SECOND, Life

__all__ = ["anyio_backend", "dialect", "empty_store", "life", "store"]


def handing_over(
    life: Life,
    lease: Lease,
    outcome: str = "completed",
    *,
    take: bool = True,
    incarnation: str = "1",
    quotas: Quotas | None = None,
    started_ms: int | None = None,
    **more: Any,
) -> HandOver:
    end = EndRun(lease.run_id, Ending(fence=lease.fence, outcome=outcome, **more), life.now, life.at, GRACE, DELAY)
    start = None if started_ms is None else started_before(lease.run_id, lease.fence, life.now, started_ms)
    taking = TakeRuns("w", incarnation, 1, life.now, LEASE, quotas or Quotas())
    return HandOver(end, start, taking if take else None)


async def hand_over(life: Life, lease: Lease, **more: Any) -> list[Lease]:
    grants = (await life.store.apply(handing_over(life, lease, **more))).leases
    return msgspec.json.decode(msgspec.json.encode(grants), type=list[Lease])


async def two_runs(life: Life) -> tuple[NewJob, Lease]:
    """A job of two runs; a worker has the first."""
    job = await life.submit(2)
    await life.register()
    (lease,) = await life.take()
    return job, lease


async def kinds(life: Life, job: NewJob) -> list[str]:
    return [event.type for event in await life.events(job) if event.type.startswith("run.")]


async def test_an_end_brings_the_next_run(life: Life) -> None:
    job, lease = await two_runs(life)
    await life.start(lease)
    (following,) = await hand_over(life, lease, metrics={"a": 1.0})
    first, second = await life.runs(job)
    assert (first.state, first.worker) == (RunState.COMPLETED, None)
    assert (second.state, second.worker, second.id) == (RunState.LEASED, "w", following.run_id)
    await life.check_counters()


async def test_an_end_that_is_refused_brings_nothing(life: Life) -> None:
    job, lease = await two_runs(life)
    with pytest.raises(StaleFence):
        await hand_over(life, msgspec.structs.replace(lease, fence=lease.fence + 1))
    first, second = await life.runs(job)
    assert (first.state, second.state) == (RunState.LEASED, RunState.QUEUED)


async def test_an_end_counts_where_the_worker_can_be_given_nothing(life: Life) -> None:
    job, lease = await two_runs(life)
    assert await hand_over(life, lease, incarnation="forgotten") == []
    assert [run.state for run in await life.runs(job)] == [RunState.COMPLETED, RunState.QUEUED]
    (other,) = await life.take()
    await life.direct(WorkerState.PAUSED)
    assert await hand_over(life, other) == []
    assert [run.state for run in await life.runs(job)] == [RunState.COMPLETED] * 2


async def test_the_slot_that_an_end_frees_counts_for_the_quotas(life: Life) -> None:
    _, lease = await two_runs(life)
    one = Quotas(total=Quota(runs=1))
    assert (await life.store.apply(TakeRuns("w", "1", 1, life.now, LEASE, one))).leases == []
    assert len(await hand_over(life, lease, quotas=one)) == 1


async def test_ends_that_come_together_are_each_answered(life: Life) -> None:
    job = await life.submit(5)
    await life.register()
    leases = await life.take(3)
    stale = msgspec.structs.replace(leases[2], fence=9)
    asked = [handing_over(life, lease, started_ms=0) for lease in (*leases[:2], stale)]
    answers = await life.store.transact(asked)
    assert isinstance(answers[2], StaleFence)
    given = [grant.run_id for answer in answers if isinstance(answer, Taken) for grant in answer.leases]
    assert given == [run.id for run in job.runs[3:]]
    states = [run.state for run in await life.runs(job)]
    assert states == [RunState.COMPLETED, RunState.COMPLETED, RunState.LEASED, RunState.LEASED, RunState.LEASED]
    await life.check_counters()


async def test_a_start_that_is_told_with_the_end_is_in_the_history_and_in_its_time(life: Life) -> None:
    job, lease = await two_runs(life)
    life.later(5 * SECOND)
    await hand_over(life, lease, take=False, started_ms=1500)
    run = await life.run(job)
    report = msgspec.json.decode(run.report, type=Report)
    assert report.started_at == rfc3339(life.now - 1_500_000)
    assert await kinds(life, job) == ["run.leased", "run.running", "run.completed"]
    (attempt,) = await life.attempts(job)
    assert attempt.started_at == life.now


def reporting(life: Life, job: NewJob, lease: Lease, started_ms: int, status: Status = Status.COMPLETED) -> StartAndReport:
    report = ReportRun(job.id, None, "p", "b0", 0, status, Report(), None, life.now, life.at, GRACE, lease.fence)
    return StartAndReport(started_before(lease.run_id, lease.fence, life.now, started_ms), report)


async def test_a_report_brings_the_start_that_was_before_it(life: Life) -> None:
    job, lease = await two_runs(life)
    life.later()
    await life.store.apply(reporting(life, job, lease, 20))
    run = await life.run(job)
    assert run.state is RunState.COMPLETED
    assert msgspec.json.decode(run.report, type=Report).started_at == rfc3339(life.now - 20_000)
    assert await kinds(life, job) == ["run.leased", "run.running", "run.completed"]
    await life.check_counters()


async def test_a_start_that_is_known_or_refused_changes_nothing_about_the_report(life: Life) -> None:
    job, lease = await two_runs(life)
    await life.start(lease)
    await life.store.apply(reporting(life, job, lease, 20, Status.RUNNING))
    assert msgspec.json.decode((await life.run(job)).report, type=Report).started_at == f"at {life.now}"
    await life.store.apply(reporting(life, job, lease, 20))
    await life.store.apply(reporting(life, job, lease, 20))  # a gateway repeats what it had no answer to
    assert await kinds(life, job) == ["run.leased", "run.running", "run.completed"]
    with pytest.raises(AssayError):
        await life.store.apply(reporting(life, job, msgspec.structs.replace(lease, fence=7), 20))


async def test_a_start_of_long_ago_is_bounded() -> None:
    assert isinstance(started_before("r", 1, 0, 10**18), StartRun)
