"""Whole jobs: created once, cancelled, deleted."""

from __future__ import annotations

import msgspec
import pytest

from assay.model.errors import IdempotencyMismatch, JobIsTerminal, NotFound, StaleFence
from assay.model.messages import CANCELLED
from assay.model.plan import Model, Plan
from assay.model.results import Message
from assay.model.scores import Criteria
from assay.model.states import JobState, RunState, Status, Verdict
from assay.store.jobs import CreateJob, DeleteJob
from assay.store.queries import JobVersion, JobWithRuns, RunById, RunPlan
from assay.store.rows import report_of

from .life import Life, holding, new_job


async def test_a_job_comes_back_as_it_was_submitted(life: Life) -> None:
    spec = '{"name":"j","custom":{"ü":"\\u0000"}}'.encode()
    criteria = [Criteria("acc", True, 0.25, 2.0)]
    job = await life.submit(
        2, name="name, with | signs", tenant="t", owner="o", spec=spec, criteria=criteria, threshold=0.75
    )
    stored, runs = await life.job(job), await life.runs(job)
    assert (stored.id, stored.kind, stored.tenant, stored.owner) == (job.id, "evaluation", "t", "o")
    assert (stored.name, stored.spec, stored.state) == ("name, with | signs", spec, JobState.PENDING)
    assert (stored.created_at, stored.updated_at, stored.version) == (life.now, life.now, 1)
    assert (stored.cancelled, stored.test, stored.experiment_id) == (False, b"", "")
    assert [run.id for run in runs] == [new.id for new in job.runs]
    assert [(run.index, run.provider_id, run.benchmark_id, run.engine) for run in runs] == [
        (0, "p", "b0", "adapter"),
        (1, "p", "b1", "adapter"),
    ]
    for run in runs:
        assert (run.state, run.status, run.fence, run.attempts) == (RunState.QUEUED, Status.PENDING, 0, 0)
        assert (run.worker, run.verdict, run.finished_at, run.result) == (None, None, None, b"")
    await life.check_counters()


async def test_the_plan_of_a_run_comes_back_with_its_context_and_digest(life: Life) -> None:
    job = new_job(life.new_id)
    plan = Plan(
        kind="evaluation",
        provider_id="p",
        benchmark_id="b0",
        engine="adapter",
        model=Model("m", "http://h/v1", {"t": 0.1}),
        parameters={"a": [1, 2.5, None, "x"]},
        datasets={"f": "sha256:1"},
    )
    run = msgspec.structs.replace(job.runs[0], plan=plan, digest=plan.digest())
    await life.store.apply(CreateJob(msgspec.structs.replace(job, runs=[run]), life.now))
    assert await life.store.lookup(RunPlan(run.id)) == (plan, run.context, plan.digest())


async def test_the_answer_to_a_submission_is_the_job_as_it_is_stored(life: Life) -> None:
    job = new_job(life.new_id, tags=["t"])
    assert await life.store.apply(CreateJob(job, life.now)) == await life.store.lookup(JobWithRuns(job.id))


async def test_what_does_not_exist_is_none(life: Life) -> None:
    missing = life.new_id()
    for query in (JobVersion(missing), JobWithRuns(missing), RunById(missing), RunPlan(missing)):
        assert await life.store.lookup(query) is None


async def test_a_repeated_submission_with_the_same_key_is_one_job(life: Life) -> None:
    first = await life.submit(key="k", tags=["t"])
    again = new_job(life.new_id, key="k", tags=["t"])
    known, runs = await life.store.apply(CreateJob(again, life.later()))
    assert (known.id, [run.id for run in runs]) == (first.id, [run.id for run in first.runs])
    assert await life.store.lookup(JobWithRuns(again.id)) is None
    assert await life.store.lookup(JobVersion(first.id)) == ("", 1, "pending")
    await life.check_counters()


async def test_two_submissions_with_one_key_in_one_group_are_one_job(life: Life) -> None:
    jobs = [new_job(life.new_id, key="k") for _ in range(5)]
    made = await life.store.transact([CreateJob(job, life.now) for job in jobs])
    assert made == [jobs[0].created(life.now)] * 5
    assert await life.ask("SELECT id FROM jobs") == [{"id": jobs[0].id}]


async def test_a_key_that_was_used_for_another_body_is_refused(life: Life) -> None:
    await life.submit(key="k")
    other = new_job(life.new_id, key="k", spec=b'{"name":"other"}')
    with pytest.raises(IdempotencyMismatch, match="'k'"):
        await life.store.apply(CreateJob(other, life.now))
    assert await life.store.lookup(JobWithRuns(other.id)) is None


async def test_each_tenant_has_keys_of_its_own(life: Life) -> None:
    one, other = await life.submit(key="k", tenant="a"), await life.submit(key="k", tenant="b")
    assert (await life.job(one)).tenant == "a"
    assert (await life.job(other)).tenant == "b"


async def test_a_key_is_free_again_once_its_job_is_deleted(life: Life) -> None:
    first = await life.submit(key="k")
    await life.delete(first)
    second = await life.submit(key="k", spec=b'{"name":"other"}')
    assert (await life.job(second)).state is JobState.PENDING


async def test_cancelling_a_waiting_job_cancels_every_run(life: Life) -> None:
    job = await life.submit(3)
    life.later()
    await life.cancel(job)
    assert (await life.job(job)).state is JobState.CANCELLED
    for run in await life.runs(job):
        assert (run.state, run.verdict, run.finished_at) == (RunState.CANCELLED, Verdict.USER, life.now)
        assert report_of(run).error_message == CANCELLED
    assert Message("Evaluation job cancelled", "evaluation_job_cancelled", "server") == CANCELLED
    await life.register()
    assert await life.take(9) == []
    await life.check_counters()


async def test_cancelling_twice_is_harmless(life: Life) -> None:
    job = await life.submit()
    await life.cancel(job)
    before = await life.job(job)
    life.later()
    await life.cancel(job)
    assert await life.job(job) == before


async def test_a_run_that_had_ended_keeps_its_end_when_the_job_is_cancelled(life: Life) -> None:
    job = await life.submit(2)
    await life.register()
    (lease,) = await life.take()
    await life.end(lease)
    await life.cancel(job)
    assert [run.state for run in await life.runs(job)] == [RunState.COMPLETED, RunState.CANCELLED]
    assert (await life.job(job)).state is JobState.CANCELLED
    await life.check_counters()


async def test_a_job_that_has_ended_cannot_be_cancelled(life: Life) -> None:
    job = await life.submit()
    await life.report(job, Status.COMPLETED)
    with pytest.raises(JobIsTerminal, match="can not be cancelled because it is 'completed'"):
        await life.cancel(job)
    assert (await life.job(job)).state is JobState.COMPLETED


async def test_a_cancelled_run_stays_with_its_worker_until_the_worker_lets_go(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    await life.cancel(job)
    held = await life.run(job)
    assert (held.state, held.worker) == (RunState.CANCELLED, "w")
    await life.end(lease, "released")
    released = await life.run(job)
    assert (released.state, released.worker, released.lease_expires_at) == (RunState.CANCELLED, None, None)
    assert (await life.attempts(job))[-1].outcome == "released"
    with pytest.raises(StaleFence):
        await life.end(lease, "completed")


async def test_the_result_of_a_run_that_was_cancelled_meanwhile_is_not_taken(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.cancel(job)
    await life.end(lease, "completed", metrics={"acc": 1.0})
    run = await life.run(job)
    assert (run.state, run.result) == (RunState.CANCELLED, b"")
    assert (await life.job(job)).state is JobState.CANCELLED


async def test_one_run_can_be_cancelled_while_the_others_go_on(life: Life) -> None:
    job = await life.submit(3, tenant="a")
    await life.register()
    (lease,) = await life.take()
    for index in (0, 1):
        await life.cancel_run(job, index, "a")
        await life.cancel_run(job, index)
    first, second, third = await life.runs(job)
    assert (first.state, first.worker, second.state, second.worker) == (RunState.CANCELLED, "w", RunState.CANCELLED, None)
    assert (third.state, (await life.job(job)).state) == (RunState.QUEUED, JobState.RUNNING)
    assert await life.beat(holding(lease)) == [lease.run_id]
    await life.report(job, Status.COMPLETED, 2)
    assert (await life.job(job)).state is JobState.PARTIALLY_FAILED
    with pytest.raises(JobIsTerminal):
        await life.cancel_run(job, 2)
    for tenant, index in (("b", 0), ("a", 3)):
        with pytest.raises(NotFound):
            await life.cancel_run(job, index, tenant)
    await life.check_counters()


@pytest.mark.parametrize("act", ["cancel", "delete"])
async def test_a_job_of_another_tenant_does_not_exist(life: Life, act: str) -> None:
    job = await life.submit(tenant="a")
    with pytest.raises(NotFound, match="evaluation job"):
        await getattr(life, act)(job, "b")
    await getattr(life, act)(job, "a")


@pytest.mark.parametrize("act", ["cancel", "delete"])
async def test_an_unknown_job_is_not_found(life: Life, act: str) -> None:
    with pytest.raises(NotFound):
        await getattr(life, act)(new_job(life.new_id))


async def test_deleting_a_job_leaves_nothing_of_it(life: Life) -> None:
    keep, gone = await life.submit(tags=["a"], key="1"), await life.submit(2, tags=["a", "b"], key="2")
    await life.register()
    leases = await life.take(2)
    await life.end(leases[-1], metrics={"acc": 1}, artifacts=[])
    await life.delete(keep)
    assert await life.delete(gone) == [run.id for run in gone.runs]
    tables = [
        "jobs",
        "job_specs",
        "job_tags",
        "idempotency_keys",
        "runs",
        "plans",
        "results",
        "attempts",
        "artifacts",
        "events",
    ]
    for table in tables:
        assert await life.ask(f"SELECT * FROM {table}") == [], table
    await life.check_counters()
    with pytest.raises(NotFound):
        await life.store.apply(DeleteJob(gone.id, None, life.now))


async def test_a_worker_learns_from_its_heartbeat_that_a_job_was_deleted(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.delete(job)
    assert await life.beat(holding(lease)) == [lease.run_id]
    with pytest.raises(StaleFence):
        await life.end(lease)
