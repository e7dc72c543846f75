"""What adapters report, through their gateway (with a fence) or by hand (without)."""

from __future__ import annotations

import pytest

from assay.model.errors import JobIsTerminal, NotFound, StaleFence
from assay.model.results import BenchmarkTest, Message, Report, Result
from assay.model.scores import Criteria
from assay.model.states import JobState, RunState, Status, Verdict
from assay.store.rows import report_of, result_of

from .life import GRACE, LEASE, Life, new_job

ERROR = Message("It broke.", "broken", "adapter")
ENDS = [Status.COMPLETED, Status.FAILED]


async def test_reports_merge(life: Life) -> None:
    job = await life.submit(2)
    await life.report(job, Status.RUNNING, report=Report(phase="loading_data", started_at="then"))
    life.later()
    warning = Message("Slow.", "slow", "adapter")
    await life.report(job, Status.RUNNING, report=Report(phase="running_evaluation", warning_message=warning))
    await life.report(job, Status.COMPLETED, report=Report(completed_at="now"), result=Result(metrics={"acc": 1.0}))
    run = await life.run(job)
    assert report_of(run) == Report(True, "running_evaluation", None, warning, "then", "now")
    assert (run.state, run.verdict, run.finished_at) == (RunState.COMPLETED, Verdict.ADAPTER, life.now)


async def test_a_run_driven_by_hand_is_running_to_users_and_still_in_the_queue(life: Life) -> None:
    job = await life.submit()
    await life.report(job, Status.RUNNING)
    run = await life.run(job)
    assert (run.state, run.status, report_of(run).started_at) == (RunState.QUEUED, Status.RUNNING, life.at)
    assert (await life.job(job)).state is JobState.RUNNING
    await life.report(job, Status.PENDING)
    assert (await life.run(job)).status is Status.RUNNING
    await life.register()
    (lease,) = await life.take()
    assert (await life.run(job)).status is Status.RUNNING
    await life.start(lease)
    await life.check_counters()


async def test_a_pending_report_changes_nothing_that_users_count(life: Life) -> None:
    job = await life.submit()
    await life.report(job, Status.PENDING, report=Report(phase="initializing"))
    run = await life.run(job)
    assert (run.status, report_of(run).phase, report_of(run).started_at) == (Status.PENDING, "initializing", "")
    assert (await life.job(job)).state is JobState.PENDING


async def test_times_that_an_adapter_leaves_out_are_the_servers(life: Life) -> None:
    job = await life.submit()
    await life.report(job, Status.RUNNING)
    started = life.at
    life.later()
    await life.report(job, Status.FAILED, report=Report(error_message=ERROR))
    report = report_of(await life.run(job))
    assert (report.started_at, report.completed_at, report.error_message) == (started, life.at, ERROR)


@pytest.mark.parametrize("status", ENDS)
@pytest.mark.parametrize("stage", ["queued", "leased", "running", "grace"])
async def test_a_terminal_report_is_believed_wherever_the_run_is(life: Life, stage: str, status: Status) -> None:
    job = await life.submit(criteria=[Criteria("acc", threshold=0.5)])
    if stage != "queued":
        await life.register()
        (lease,) = await life.take()
        if stage != "leased":
            await life.start(lease)
        if stage == "grace":
            await life.end(lease, "exited")
    await life.report(job, status, result=Result(metrics={"acc": 0.25}))
    run = await life.run(job)
    assert (run.state.value, run.verdict) == (status.value, Verdict.ADAPTER)
    result = result_of(run)
    assert result is not None
    assert result.test == BenchmarkTest(0.25, "acc", 0.5, False)
    assert (run.worker is None) is (stage in ("queued", "grace"))
    assert (await life.job(job)).state.value == status.value
    await life.check_counters()


@pytest.mark.parametrize("second", list(Status)[:4])
@pytest.mark.parametrize("first", ENDS)
async def test_the_first_terminal_report_counts(life: Life, first: Status, second: Status) -> None:
    job = await life.submit(2)
    await life.report(job, first, result=Result(metrics={"acc": 1}))
    before = await life.run(job), await life.job(job)
    life.later()
    await life.report(job, second, report=Report(phase="x", error_message=ERROR), result=Result(metrics={"acc": 0}))
    assert (await life.run(job), await life.job(job)) == before


async def test_what_the_engine_said_is_not_overruled_by_a_report(life: Life) -> None:
    job = await life.submit(2)
    await life.register()
    (lease,) = await life.take()
    await life.end(lease, "failed", code="c", message="m")
    before = await life.run(job)
    await life.report(job, Status.COMPLETED)
    assert await life.run(job) == before


@pytest.mark.parametrize("status", [*ENDS, Status.RUNNING])
async def test_a_job_that_has_ended_takes_no_more_reports(life: Life, status: Status) -> None:
    job = await life.submit()
    await life.report(job, Status.COMPLETED)
    with pytest.raises(JobIsTerminal, match="can not be running because it is 'completed'"):
        await life.report(job, status)


async def test_a_cancelled_job_takes_no_more_reports(life: Life) -> None:
    job = await life.submit()
    await life.cancel(job)
    with pytest.raises(JobIsTerminal, match="because it is 'cancelled'"):
        await life.report(job, Status.RUNNING)


async def test_a_gateway_may_repeat_a_report_whose_answer_was_lost(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.report(job, Status.COMPLETED, fence=lease.fence)
    before = await life.run(job), await life.job(job)
    await life.report(job, Status.COMPLETED, fence=lease.fence)
    assert (await life.run(job), await life.job(job)) == before


async def test_a_report_about_an_unknown_job_or_benchmark_is_not_found(life: Life) -> None:
    job = await life.submit(2, tenant="a")
    with pytest.raises(NotFound, match="evaluation job"):
        await life.report(new_job(life.new_id), Status.RUNNING)
    with pytest.raises(NotFound, match="evaluation job"):
        await life.report(job, Status.RUNNING, tenant="b")
    for index, benchmark in ((0, "b1"), (1, "b0"), (2, "b0"), (7, "x"), (2**62, "b0")):
        with pytest.raises(NotFound, match=f"The benchmark resource '{benchmark}' was not found"):
            await life.report(job, Status.RUNNING, index, benchmark=benchmark)
    await life.report(job, Status.RUNNING, tenant="a")


async def test_a_report_under_a_lease_that_has_passed_on_is_stale(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (old,) = await life.take()
    life.later(LEASE)
    await life.lapse_leases()
    (new,) = await life.take()
    before = await life.run(job)
    for status in (Status.RUNNING, *ENDS):
        with pytest.raises(StaleFence):
            await life.report(job, status, fence=old.fence)
    assert await life.run(job) == before
    await life.report(job, Status.COMPLETED, fence=new.fence)
    assert (await life.run(job)).state is RunState.COMPLETED


async def test_a_report_during_the_grace_prolongs_it(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.end(lease, "exited")
    life.later(GRACE - 1)
    await life.report(job, Status.RUNNING)
    assert (await life.run(job)).grace_until == life.now + GRACE
    life.later(1)
    assert await life.lapse_graces() == 0


@pytest.mark.parametrize("status", ENDS)
async def test_an_adapters_late_report_replaces_what_only_the_watchdog_said(life: Life, status: Status) -> None:
    job = await life.submit(criteria=[Criteria("acc", threshold=0.5)])
    await life.register()
    (lease,) = await life.take()
    await life.end(lease, "exited", code="process_exited", message="It exited.")
    life.later(GRACE)
    await life.lapse_graces()
    assert (await life.job(job)).state is JobState.FAILED
    life.later()
    report = Report(error_message=ERROR) if status is Status.FAILED else Report()
    await life.report(job, status, report=report, result=Result(metrics={"acc": 0.75}), fence=lease.fence)
    run = await life.run(job)
    assert (run.state.value, run.verdict, run.finished_at) == (status.value, Verdict.ADAPTER, life.now)
    assert report_of(run).error_message == (ERROR if status is Status.FAILED else None)
    stored = await life.job(job)
    assert stored.state.value == status.value
    assert bool(stored.test) is (status is Status.COMPLETED)
    with pytest.raises(JobIsTerminal):
        await life.report(job, Status.COMPLETED)
    await life.check_counters()


async def test_a_report_that_it_runs_does_not_replace_the_watchdogs_word(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.end(lease, "exited")
    life.later(GRACE)
    await life.lapse_graces()
    before = await life.run(job)
    await life.report(job, Status.RUNNING)
    assert await life.run(job) == before


async def test_a_late_report_ends_a_run_that_was_given_up_with_its_worker(life: Life) -> None:
    job = await life.submit(max_attempts=1)
    await life.register()
    (lease,) = await life.take()
    life.later(LEASE)
    await life.lapse_leases()
    await life.report(job, Status.COMPLETED, fence=lease.fence)
    run = await life.run(job)
    assert (run.state, run.verdict, report_of(run).error_message) == (RunState.COMPLETED, Verdict.ADAPTER, None)


async def test_a_late_report_on_a_cancelled_job_leaves_the_job_cancelled(life: Life) -> None:
    job = await life.submit(2, max_attempts=1)
    await life.register()
    await life.take()
    life.later(LEASE)
    await life.lapse_leases()
    await life.cancel(job)
    await life.report(job, Status.COMPLETED)
    assert [run.state for run in await life.runs(job)] == [RunState.COMPLETED, RunState.CANCELLED]
    assert (await life.job(job)).state is JobState.CANCELLED
    await life.check_counters()


async def test_a_run_that_ended_by_report_keeps_its_worker_until_the_worker_lets_go(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.report(job, Status.COMPLETED, result=Result(metrics={"acc": 1}), fence=lease.fence)
    held = await life.run(job)
    assert held.worker == "w"
    await life.end(lease, "exited", exit_code=0)
    run = await life.run(job)
    assert (run.state, run.worker, run.result) == (RunState.COMPLETED, None, held.result)
    assert [(a.outcome, a.exit_code) for a in await life.attempts(job)] == [("exited", 0)]
