"""How a worker ends a run: with a result, with a failure, with silence, or by giving it back."""

from __future__ import annotations

import msgspec
import pytest

from assay.model.errors import StaleFence
from assay.model.protocol import ArtifactRef, Ending
from assay.model.results import BenchmarkTest, Message, Result
from assay.model.scores import Criteria, JobTest
from assay.model.states import JobState, RunState, Status, Verdict
from assay.store.queries import ArtifactsOfRun
from assay.store.rows import report_of, result_of
from assay.store.runs import EndRun

from .life import DELAY, GRACE, LEASE, Life, holding


async def test_a_completed_run_has_its_result_and_its_test(life: Life) -> None:
    job = await life.submit(criteria=[Criteria("acc", threshold=0.5)])
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    started = life.at
    life.later()
    files = [ArtifactRef("samples.jsonl", "sha256:1", 10), ArtifactRef("a.txt", "sha256:2", 0, "text/plain")]
    await life.end(lease, metrics={"f1": 0.5, "acc": 0.75}, additional_info={"n": 40}, artifacts=files, warning="slow")
    run = await life.run(job)
    assert (run.state, run.status, run.verdict) == (RunState.COMPLETED, Status.COMPLETED, Verdict.ENGINE)
    assert (run.worker, run.lease_expires_at, run.finished_at) == (None, None, life.now)
    report, result = report_of(run), result_of(run)
    assert result is not None
    assert (report.started_at, report.completed_at, report.phase) == (started, life.at, "completed")
    assert report.warning_message == Message("slow", "evaluation_warning", "runtime")
    assert result.metrics == {"f1": 0.5, "acc": 0.75}
    assert [entry["name"] for entry in result.metrics_schema] == ["f1", "acc"]
    assert result.test == BenchmarkTest(0.75, "acc", 0.5, True)
    assert result.artifacts == {f.name: {"digest": f.digest, "size": f.size} for f in files}
    assert await life.store.lookup(ArtifactsOfRun(run.id)) == sorted(files, key=lambda f: f.name)
    stored = await life.job(job)
    assert stored.state is JobState.COMPLETED
    assert msgspec.json.decode(stored.test, type=JobTest) == JobTest(0.75, 0.5, True)
    (attempt,) = await life.attempts(job)
    assert (attempt.outcome, attempt.worker, attempt.ended_at) == ("completed", "w", life.now)
    await life.check_counters()


async def test_a_criterion_that_cannot_be_applied_leaves_a_warning_and_no_test(life: Life) -> None:
    job = await life.submit(criteria=[Criteria("acc", threshold=0.5)])
    await life.register()
    (lease,) = await life.take()
    await life.end(lease, metrics={"acc": "0.75"})
    run = await life.run(job)
    result, warning = result_of(run), report_of(run).warning_message
    assert result is not None
    assert warning is not None
    assert (result.test, warning.message_code) == (None, "primary_metric_not_numeric")
    assert (await life.job(job)).test == b""


@pytest.mark.parametrize("value", [10**30, 10**400, -(10**400)])
async def test_a_metric_of_any_size_is_kept(life: Life, value: int) -> None:
    job = await life.submit(criteria=[Criteria("acc", threshold=0.5)])
    await life.register()
    (lease,) = await life.take()
    await life.end(lease, metrics={"acc": value})
    result = result_of(await life.run(job))
    assert result is not None
    assert result.metrics == {"acc": value}


WEIGHED = [
    Criteria("acc", threshold=0.5, weight=3.0),
    Criteria("err", True, 0.5),
    Criteria(),
    Criteria("ms", True, 300.0),
]
MEASURED: list[dict[str, float]] = [{"acc": 0.8}, {"err": 0.2}, {"x": 1}, {"ms": 250}]
SCORE = JobTest(0.8, 0.9, False, [3])


async def test_the_jobs_score_weighs_every_benchmark_that_was_judged(life: Life) -> None:
    job = await life.submit(4, criteria=WEIGHED, threshold=0.9)
    await life.register()
    for lease, metrics in zip(await life.take(4), MEASURED, strict=True):
        assert (await life.job(job)).test == b""
        await life.end(lease, metrics=metrics)
    assert msgspec.json.decode((await life.job(job)).test, type=JobTest) == SCORE


@pytest.mark.parametrize("before", [0, 1, 3])
async def test_it_is_the_same_when_the_last_of_them_end_at_once(life: Life, before: int) -> None:
    job = await life.submit(4, criteria=WEIGHED, threshold=0.9)
    await life.register()
    ended = list(zip(await life.take(4), MEASURED, strict=True))
    for lease, metrics in ended[:before]:
        await life.end(lease, metrics=metrics)
    ends = [
        EndRun(lease.run_id, Ending(fence=lease.fence, outcome="completed", metrics=metrics), life.now, life.at, GRACE)
        for lease, metrics in reversed(ended[before:])
    ]
    assert await life.store.transact(ends) == [None] * len(ends)
    assert msgspec.json.decode((await life.job(job)).test, type=JobTest) == SCORE


async def test_a_failed_run_says_what_the_engine_said(life: Life) -> None:
    job = await life.submit(2)
    await life.register()
    one, other = await life.take(2)
    await life.end(one, "failed", code="bad_data", message="Line 3 is no JSON.", origin="adapter", metrics={"acc": 0.1})
    await life.end(other)
    run = await life.run(job)
    assert (run.state, run.verdict) == (RunState.FAILED, Verdict.ENGINE)
    assert report_of(run).error_message == Message("Line 3 is no JSON.", "bad_data", "adapter")
    result = result_of(run)
    assert result is not None
    assert result.metrics == {"acc": 0.1}
    assert (await life.job(job)).state is JobState.PARTIALLY_FAILED
    (attempt,) = await life.attempts(job)
    assert (attempt.outcome, attempt.code, attempt.message) == ("failed", "bad_data", "Line 3 is no JSON.")


async def test_starting_twice_is_harmless_and_starting_late_is_stale(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    before = await life.run(job)
    assert (before.state, before.status) == (RunState.RUNNING, Status.RUNNING)
    assert (await life.job(job)).state is JobState.RUNNING
    life.later()
    await life.start(lease)
    assert await life.run(job) == before
    assert (await life.attempts(job))[0].started_at == life.now - 1_000_000
    await life.cancel(job)
    with pytest.raises(StaleFence):
        await life.start(lease)


async def test_a_start_that_met_the_last_report_on_its_way_changes_nothing_and_ends_no_process(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.report(job, Status.COMPLETED, result=Result(), fence=lease.fence)
    before = await life.run(job)
    assert before.state is RunState.COMPLETED
    life.later()
    await life.start(lease)
    assert await life.run(job) == before
    await life.end(lease)
    with pytest.raises(StaleFence):
        await life.start(lease)


async def test_ending_twice_is_stale(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.end(lease)
    with pytest.raises(StaleFence):
        await life.end(lease, "failed")
    assert (await life.run(job)).state is RunState.COMPLETED


@pytest.mark.parametrize("outcome", ["completed", "failed", "exited", "released"])
async def test_a_run_may_end_that_was_never_started(life: Life, outcome: str) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.end(lease, outcome)
    assert (await life.run(job)).worker is None
    await life.check_counters()


async def test_a_run_that_its_worker_gives_back_is_queued_again(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    await life.end(lease, "released", code="stopped", message="The run was stopped.")
    run = await life.run(job)
    assert (run.state, run.attempts, run.available_at) == (RunState.QUEUED, 1, life.now + DELAY)
    assert (await life.job(job)).state is JobState.PENDING


async def test_a_run_that_is_given_back_too_often_fails_with_a_reason(life: Life) -> None:
    job = await life.submit(max_attempts=1)
    await life.register()
    (lease,) = await life.take()
    await life.end(lease, "released")
    run = await life.run(job)
    message = report_of(run).error_message
    assert (run.state, run.verdict) == (RunState.FAILED, Verdict.WATCHDOG)
    assert message is not None
    assert message.message == "The worker 'w' gave the run back. No attempt is left (1 was made)."
    assert (message.message_code, message.message_origin) == ("released", "server")


async def test_a_process_that_went_silently_runs_on_for_a_grace_and_then_fails(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    await life.end(lease, "exited", code="process_exited", message="It exited with code 3.", exit_code=3)
    run = await life.run(job)
    assert (run.state, run.status, run.worker, run.grace_until) == (
        RunState.RUNNING,
        Status.RUNNING,
        None,
        life.now + GRACE,
    )
    assert await life.take() == []
    life.later(GRACE - 1)
    assert await life.lapse_graces() == 0
    life.later(1)
    assert await life.lapse_graces() == 1
    assert await life.lapse_graces() == 0
    run = await life.run(job)
    assert (run.state, run.verdict, run.grace_until) == (RunState.FAILED, Verdict.WATCHDOG, None)
    assert report_of(run).error_message == Message("It exited with code 3.", "process_exited", "runtime")
    assert (await life.job(job)).state is JobState.FAILED
    assert [(a.outcome, a.exit_code) for a in await life.attempts(job)] == [("exited", 3)]
    await life.check_counters()


async def test_a_run_in_its_grace_can_be_cancelled(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.end(lease, "exited")
    await life.cancel(job)
    run = await life.run(job)
    assert (run.state, run.grace_until, run.worker) == (RunState.CANCELLED, None, None)
    life.later(GRACE)
    assert await life.lapse_graces() == 0


async def test_a_run_in_its_grace_belongs_to_nobody(life: Life) -> None:
    await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.end(lease, "exited")
    assert await life.beat(holding(lease)) == [lease.run_id]
    with pytest.raises(StaleFence):
        await life.end(lease)
    life.later(LEASE)
    assert await life.lapse_leases() == 0


async def test_an_artifact_that_is_named_again_is_replaced(life: Life) -> None:
    job = await life.submit()
    await life.register()
    for digest in ("sha256:1", "sha256:2"):
        (lease,) = await life.take()
        await life.end(lease, "released", artifacts=[ArtifactRef("log.txt", digest, 1)])
        life.later(DELAY)
    assert await life.store.lookup(ArtifactsOfRun(job.runs[0].id)) == [ArtifactRef("log.txt", "sha256:2", 1)]


async def test_of_artifacts_with_one_name_the_last_counts(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    digests = ("sha256:1", "sha256:2", "sha256:3")
    await life.end(lease, artifacts=[ArtifactRef("log.txt", digest, 1) for digest in digests])
    assert await life.store.lookup(ArtifactsOfRun(job.runs[0].id)) == [ArtifactRef("log.txt", "sha256:3", 1)]
