"""Leases: who gets which run, for how long, and what happens when a worker is gone."""

from __future__ import annotations

import pytest

from assay.model.errors import NotFound, StaleFence, UnknownWorker, WorkerInUse
from assay.model.results import Report
from assay.model.states import JobState, RunState, Status, Verdict, WorkerState
from assay.store.leases import LINGER
from assay.store.queries import Due, OpenRuns, RegisteredWorker, RunPlan, Workers
from assay.store.rows import report_of

from .life import DELAY, GRACE, LEASE, SECOND, Life, holding


async def test_a_lease_carries_everything_a_worker_needs(life: Life) -> None:
    job = await life.submit(2)
    await life.register()
    leases = await life.take(5)
    assert [(one.job_id, one.run_id, one.index, one.attempt, one.fence) for one in leases] == [
        (job.id, run.id, index, 1, 1) for index, run in enumerate(job.runs)
    ]
    for lease in leases:
        assert (lease.plan, lease.context, job.runs[lease.index].digest) == await life.store.lookup(RunPlan(lease.run_id))
    run = await life.run(job)
    assert (run.state, run.status, run.worker) == (RunState.LEASED, Status.PENDING, "w")
    assert run.lease_expires_at == life.now + LEASE


async def test_a_run_is_leased_to_one_worker_only(life: Life) -> None:
    await life.submit(3)
    for name in ("a", "b"):
        await life.register(name)
    taken = [await life.take(2, "a"), await life.take(2, "b"), await life.take(2, "a")]
    assert [len(leases) for leases in taken] == [2, 1, 0]
    assert len({lease.run_id for leases in taken for lease in leases}) == 3


async def test_the_highest_priority_goes_first_then_the_oldest(life: Life) -> None:
    jobs = [await life.submit(priority=priority) for priority in (0, 5, -1, 5, 0)]
    await life.register()
    order = [lease.job_id for lease in await life.take(9)]
    assert order == [jobs[i].id for i in (1, 3, 0, 4, 2)]


async def test_a_worker_gets_only_runs_that_its_engines_can_carry_out(life: Life) -> None:
    job = await life.submit(3, engines=["lm_eval", "adapter", "inspect"])
    await life.register("a", engines=["adapter"])
    await life.register("b", engines=["lm_eval", "adapter"])
    await life.register("none", engines=[])
    assert [lease.index for lease in await life.take(9, "a")] == [1]
    assert await life.take(9, "none") == []
    assert [lease.index for lease in await life.take(9, "b")] == [0]
    assert (await life.run(job, 2)).state is RunState.QUEUED


async def test_no_more_runs_are_leased_than_there_are_free_slots(life: Life) -> None:
    await life.submit(5)
    await life.register()
    assert len(await life.take(0)) == 0
    assert len(await life.take(3)) == 3
    assert len(await life.take(3)) == 2


@pytest.mark.parametrize(("name", "incarnation"), [("stranger", "1"), ("w", "0")])
async def test_a_worker_that_is_not_registered_as_such_gets_nothing(life: Life, name: str, incarnation: str) -> None:
    job = await life.submit()
    await life.register("w", "1")
    with pytest.raises(UnknownWorker):
        await life.take(1, name, incarnation)
    with pytest.raises(UnknownWorker):
        await life.beat(name=name, incarnation=incarnation)
    with pytest.raises(UnknownWorker):
        await life.store.lookup(RegisteredWorker(name, incarnation))
    assert (await life.run(job)).state is RunState.QUEUED


async def test_registered_workers_are_known_with_their_engines(life: Life) -> None:
    await life.register("b", engines=["x", "y"])
    life.later()
    await life.register("a")
    assert [(worker.name, worker.seen_at == life.now) for worker in await life.store.lookup(Workers())] == [
        ("a", True),
        ("b", False),
    ]
    assert (await life.store.lookup(RegisteredWorker("b", "1"))).engines == {"x": "1", "y": "1"}


async def test_a_heartbeat_renews_what_is_held_and_notes_progress(life: Life) -> None:
    job = await life.submit(2)
    await life.register()
    one, other = await life.take(2)
    life.later()
    assert await life.beat(holding(one, 3, 10, "running_evaluation"), holding(other)) == []
    run = await life.run(job)
    assert (run.done, run.total, report_of(run).phase) == (3, 10, "running_evaluation")
    assert {(run.lease_expires_at, run.state) for run in await life.runs(job)} == {(life.now + LEASE, RunState.LEASED)}
    await life.beat(holding(one))
    run = await life.run(job)
    assert (run.done, run.total, report_of(run).phase) == (3, 10, "running_evaluation")


@pytest.mark.parametrize("news", [(1, 10, ""), (0, 10, ""), (0, 0, "loading_data")])
async def test_progress_makes_a_new_version_of_the_job_and_no_progress_none(life: Life, news: tuple[int, int, str]) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    before = await life.job(job)
    life.later()
    await life.beat(holding(lease))
    assert await life.job(job) == before
    await life.beat(holding(lease, *news))
    after = await life.job(job)
    assert (after.version, after.updated_at) == (before.version + 1, life.now)
    await life.beat(holding(lease, *news))
    assert (await life.job(job)).version == after.version


async def test_what_a_worker_does_not_name_is_not_renewed(life: Life) -> None:
    job = await life.submit(2)
    await life.register()
    one, _ = await life.take(2)
    life.later()
    await life.beat(holding(one))
    first, second = await life.runs(job)
    assert first.lease_expires_at is not None
    assert second.lease_expires_at == first.lease_expires_at - SECOND


async def test_a_worker_is_told_to_stop_what_it_has_lost(life: Life) -> None:
    await life.submit()
    await life.register("a")
    await life.register("b")
    (lost,) = await life.take(1, "a")
    life.later(LEASE)
    assert await life.lapse_leases() == 1
    assert await life.beat(holding(lost), name="a") == [lost.run_id]
    (again,) = await life.take(1, "b")
    assert (again.run_id, again.fence, again.attempt) == (lost.run_id, 2, 2)
    assert await life.beat(holding(lost), name="a") == [lost.run_id]
    assert await life.beat(holding(again), name="b") == []


async def test_a_worker_that_leases_its_own_lost_run_again_is_told_to_stop_the_old_attempt(life: Life) -> None:
    await life.submit()
    await life.register()
    (old,) = await life.take()
    life.later(LEASE)
    await life.lapse_leases()
    (new,) = await life.take()
    assert await life.beat(holding(old), holding(new)) == [old.run_id]


async def test_a_worker_is_told_to_stop_what_was_cancelled(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.cancel(job)
    assert await life.beat(holding(lease)) == [lease.run_id]


async def test_an_adapter_may_linger_after_its_report_but_not_for_ever(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.report(job, Status.COMPLETED, fence=lease.fence)
    life.later(LINGER)
    assert await life.beat(holding(lease)) == []
    life.later(1)
    assert await life.beat(holding(lease)) == [lease.run_id]


@pytest.mark.parametrize("call", ["start", "end"])
async def test_a_stale_fence_is_refused_and_changes_nothing(life: Life, call: str) -> None:
    job = await life.submit()
    await life.register()
    (old,) = await life.take()
    life.later(LEASE)
    await life.lapse_leases()
    with pytest.raises(StaleFence, match=f"fence {old.fence}"):
        await getattr(life, call)(old)
    (new,) = await life.take()
    before = await life.run(job)
    with pytest.raises(StaleFence):
        await getattr(life, call)(old)
    assert await life.run(job) == before
    await getattr(life, call)(new)


async def test_each_lease_has_a_greater_fence(life: Life) -> None:
    await life.submit(max_attempts=5)
    await life.register()
    fences = []
    for _ in range(5):
        (lease,) = await life.take()
        fences.append(lease.fence)
        life.later(LEASE)
        await life.lapse_leases()
    assert fences == [1, 2, 3, 4, 5]


async def test_a_lease_lapses_at_its_end_and_not_before(life: Life) -> None:
    job = await life.submit()
    await life.register()
    await life.take()
    life.later(LEASE - 1)
    assert await life.lapse_leases() == 0
    life.later(1)
    assert await life.lapse_leases() == 1
    assert await life.lapse_leases() == 0
    run = await life.run(job)
    assert (run.state, run.worker, run.lease_expires_at, run.attempts) == (RunState.QUEUED, None, None, 1)
    (attempt,) = await life.attempts(job)
    assert (attempt.outcome, attempt.code, attempt.ended_at) == ("lost", "lease_lost", life.now)
    assert "'w' stopped answering" in attempt.message


async def test_a_run_that_goes_back_to_the_queue_forgets_what_its_attempt_said(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    await life.beat(holding(lease, 3, 10, "running_evaluation"))
    life.later(LEASE)
    await life.lapse_leases()
    run = await life.run(job)
    assert (run.status, run.done, run.total, report_of(run)) == (Status.PENDING, 0, 0, Report())
    assert (await life.job(job)).state is JobState.PENDING
    await life.check_counters()


async def test_a_run_without_attempts_left_fails_with_the_reason(life: Life) -> None:
    job = await life.submit(max_attempts=2)
    await life.register()
    for _ in range(2):
        assert len(await life.take()) == 1
        life.later(LEASE)
        await life.lapse_leases()
    run = await life.run(job)
    assert (run.state, run.verdict, run.finished_at, run.worker) == (RunState.FAILED, Verdict.WATCHDOG, life.now, None)
    message = report_of(run).error_message
    assert message is not None
    assert (message.message_code, message.message_origin) == ("lease_lost", "server")
    assert message.message == "The worker 'w' stopped answering. No attempt is left (2 were made)."
    assert (await life.job(job)).state is JobState.FAILED
    assert [attempt.outcome for attempt in await life.attempts(job)] == ["lost", "lost"]
    await life.check_counters()


async def test_registering_again_returns_what_the_earlier_incarnation_held(life: Life) -> None:
    job = await life.submit(3)
    other = await life.submit()
    await life.register("w", "1")
    await life.register("x")
    leases = await life.take(3)
    await life.start(leases[0])
    await life.take(1, "x")
    await life.cancel(await life.submit())
    await life.register("w", "1")
    assert {run.state for run in await life.runs(job)} == {RunState.RUNNING, RunState.LEASED}
    await life.register("w", "2")
    assert {(run.state, run.worker) for run in await life.runs(job)} == {(RunState.QUEUED, None)}
    assert (await life.run(other)).worker == "x"
    assert {(await life.attempts(job, i))[0].code for i in range(3)} == {"worker_lost"}
    assert len(await life.take(9, "w", "2")) == 3
    await life.check_counters()


async def test_a_lost_worker_frees_what_was_cancelled_in_its_hands(life: Life) -> None:
    job = await life.submit()
    await life.register()
    await life.take()
    await life.cancel(job)
    life.later(LEASE)
    assert await life.lapse_leases() == 1
    run = await life.run(job)
    assert (run.state, run.worker) == (RunState.CANCELLED, None)
    assert (await life.attempts(job))[0].outcome == "lost"


async def test_a_run_that_failed_for_a_while_waits_before_its_next_attempt(life: Life) -> None:
    job = await life.submit(max_attempts=2)
    await life.register()
    (lease,) = await life.take()
    await life.end(lease, "failed", code="busy", message="The model is busy.", temporary=True)
    assert (await life.run(job)).available_at == life.now + DELAY
    assert await life.next_ready() == life.now + DELAY
    life.later(DELAY - 1)
    assert await life.take() == []
    life.later(1)
    (lease,) = await life.take()
    assert (lease.attempt, lease.fence) == (2, 2)
    await life.end(lease, "failed", code="busy", message="The model is busy.", temporary=True)
    run = await life.run(job)
    message = report_of(run).error_message
    assert message is not None
    assert (run.state, run.verdict, message.message) == (RunState.FAILED, Verdict.ENGINE, "The model is busy.")


async def test_the_number_of_an_attempt_shows_as_soon_as_it_is_taken(life: Life) -> None:
    job = await life.submit()
    await life.register()
    await life.take()
    life.later(LEASE)
    await life.lapse_leases()
    before = await life.job(job)
    await life.take()
    assert (await life.run(job)).attempts == 2
    assert (await life.job(job)).version > before.version


async def test_a_worker_that_is_alive_or_holds_runs_is_not_forgotten(life: Life) -> None:
    await life.submit()
    await life.register()
    await life.take()
    life.later(3 * SECOND)
    with pytest.raises(WorkerInUse, match="it was heard of 3 s ago"):
        await life.forget()
    life.later(LEASE - 3 * SECOND + 1)
    with pytest.raises(WorkerInUse, match="it holds 1 runs"):
        await life.forget()
    await life.lapse_leases()
    await life.forget()
    assert await life.store.lookup(Workers()) == []
    with pytest.raises(NotFound):
        await life.forget()


async def test_a_worker_that_has_said_that_it_ends_is_forgotten_at_once(life: Life) -> None:
    await life.register()
    await life.direct(WorkerState.PAUSED)
    await life.dismiss()
    await life.forget()
    assert await life.register() is WorkerState.ACTIVE


async def test_what_is_due_next_is_known(life: Life) -> None:
    assert await life.store.lookup(Due()) == (None, None)
    await life.register()
    await life.register("other", engines=["lm_eval"])
    await life.register("none", engines=[])
    assert await life.next_ready() is None
    assert await life.store.scan(OpenRuns()) == {}
    await life.submit(3)
    assert await life.next_ready() == life.now
    assert await life.next_ready("other") is None
    assert await life.next_ready("none") is None
    one, _ = await life.take(2)
    assert await life.store.lookup(Due()) == (life.now + LEASE, None)
    await life.end(one, "exited", exit_code=1)
    assert await life.store.lookup(Due()) == (life.now + LEASE, life.now + GRACE)
    assert await life.store.scan(OpenRuns()) == {"queued": 1, "leased": 1, "running": 1}
