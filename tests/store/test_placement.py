"""Placement: which worker may have a run, and what a worker may do."""

from __future__ import annotations

import pytest

from assay.model.errors import NotFound, UnknownWorker
from assay.model.placement import Resources
from assay.model.protocol import Gpu, Holding
from assay.model.states import RunState, WorkerState
from assay.store.leases import EndDrain
from assay.store.queries import RegisteredWorker, Workers, WorkerWithRuns
from assay.store.queue import PATIENCE

from .life import LEASE, Life


async def test_a_run_goes_only_to_a_worker_that_has_all_its_labels(life: Life) -> None:
    plain = await life.submit()
    fussy = await life.submit(resources=Resources(labels={"site": "berlin", "disk": "fast"}))
    await life.register("bare")
    await life.register("half", labels={"site": "berlin"})
    await life.register("other", labels={"site": "paris", "disk": "fast"})
    await life.register("whole", labels={"disk": "fast", "site": "berlin", "more": "x"})
    assert [lease.job_id for lease in await life.take(9, "bare")] == [plain.id]
    for name in ("bare", "half", "other"):
        assert await life.take(9, name) == []
    assert [lease.job_id for lease in await life.take(9, "whole")] == [fussy.id]


async def test_many_selectors_are_told_apart(life: Life) -> None:
    jobs = [await life.submit(resources=Resources(labels={"n": str(i)})) for i in range(12)]
    await life.register("w", labels={"n": "7"})
    assert [lease.job_id for lease in await life.take(20)] == [jobs[7].id]
    await life.register("all", labels={"n": "3"})
    assert [lease.job_id for lease in await life.take(20, "all")] == [jobs[3].id]


async def test_runs_of_one_lease_need_no_more_gpus_than_are_free(life: Life) -> None:
    jobs = [await life.submit(resources=Resources(gpus=n) if n else None) for n in (2, 3, 0, 1, 1)]
    await life.register()
    assert [lease.job_id for lease in await life.take(9)] == [jobs[2].id]
    assert [lease.job_id for lease in await life.take(9, gpus=3)] == [jobs[0].id, jobs[3].id]
    assert [lease.job_id for lease in await life.take(9, gpus=2)] == [jobs[4].id]
    assert await life.take(9, gpus=2) == []
    assert [lease.job_id for lease in await life.take(9, gpus=3)] == [jobs[1].id]


async def test_what_a_worker_announces_is_kept(life: Life) -> None:
    gpu = Gpu("0", "NVIDIA H200", 150 << 30)
    await life.register("w", cpus=8, memory=1 << 40, gpus=[gpu], labels={"a": "b"}, protocol=2, version="1.2")
    (worker,) = await life.store.lookup(Workers())
    assert (worker.cpus, worker.memory, worker.gpus, worker.labels) == (8, 1 << 40, [gpu], {"a": "b"})
    assert (worker.protocol, worker.version, worker.slots, worker.state) == (2, "1.2", 4, WorkerState.ACTIVE)


@pytest.mark.parametrize("state", [WorkerState.PAUSED, WorkerState.DRAINING])
async def test_a_worker_that_is_not_active_gets_no_runs_and_keeps_what_it_has(life: Life, state: WorkerState) -> None:
    job = await life.submit(2)
    await life.register()
    (lease,) = await life.take(1)
    await life.direct(state)
    assert await life.take(9) == []
    assert await life.beat(Holding(lease.run_id, lease.fence)) == []
    await life.end(lease)
    assert [run.state for run in await life.runs(job)] == [RunState.COMPLETED, RunState.QUEUED]
    await life.direct(WorkerState.ACTIVE)
    assert len(await life.take(9)) == 1


@pytest.mark.parametrize("state", [WorkerState.PAUSED, WorkerState.DRAINING])
@pytest.mark.parametrize("incarnation", ["1", "2"], ids=["the same process", "another process"])
async def test_what_a_worker_was_told_stands_when_it_registers_once_more(
    life: Life, state: WorkerState, incarnation: str
) -> None:
    await life.register()
    await life.direct(state)
    for _ in range(2):
        assert await life.register("w", incarnation) is state
        assert (await life.store.lookup(RegisteredWorker("w", incarnation))).state is state


@pytest.mark.parametrize(
    ("told", "ended", "later"),
    [
        (WorkerState.ACTIVE, WorkerState.ACTIVE, WorkerState.ACTIVE),
        (WorkerState.PAUSED, WorkerState.PAUSED, WorkerState.PAUSED),
        (WorkerState.DRAINING, WorkerState.DRAINED, WorkerState.ACTIVE),
    ],
)
async def test_a_drain_is_over_when_a_process_has_ended_as_told_and_a_pause_is_not(
    life: Life, told: WorkerState, ended: WorkerState, later: WorkerState
) -> None:
    await life.register()
    await life.direct(told)
    assert await life.dismiss() is ended
    (worker,) = await life.store.lookup(Workers())
    assert (worker.state, worker.alive(life.now, LEASE)) == (ended, False)
    assert await life.register("w", "2") is later


async def test_whoever_took_his_leave_is_not_heard_any_more(life: Life) -> None:
    await life.submit()
    await life.register()
    await life.dismiss()
    for incarnation in ("1", ""):
        for call in (life.beat, life.dismiss):
            with pytest.raises(UnknownWorker):
                await call(incarnation=incarnation)
        with pytest.raises(UnknownWorker):
            await life.take(1, "w", incarnation)
        with pytest.raises(UnknownWorker):
            await life.store.lookup(RegisteredWorker("w", incarnation))


async def test_what_a_worker_was_leased_in_its_last_moment_goes_back_at_once(life: Life) -> None:
    job = await life.submit()
    await life.register()
    await life.take()
    await life.dismiss()
    assert (await life.run(job)).state is RunState.QUEUED
    (attempt,) = await life.attempts(job)
    assert (attempt.outcome, attempt.code, attempt.message) == ("lost", "worker_lost", "The worker 'w' has ended.")


@pytest.mark.parametrize(
    ("told", "then"),
    [
        (WorkerState.DRAINING, WorkerState.DRAINED),
        (WorkerState.PAUSED, WorkerState.PAUSED),
        (WorkerState.ACTIVE, WorkerState.ACTIVE),
    ],
)
async def test_who_is_drained_need_not_be_drained_again(life: Life, told: WorkerState, then: WorkerState) -> None:
    await life.register()
    await life.direct(WorkerState.DRAINING)
    await life.dismiss()
    await life.direct(told)
    assert [worker.state for worker in await life.store.lookup(Workers())] == [then]


async def test_a_worker_that_ended_untold_and_is_drained_then_ends_when_it_returns(life: Life) -> None:
    await life.register()
    await life.dismiss()
    await life.direct(WorkerState.DRAINING)
    assert await life.register("w", "2") is WorkerState.DRAINING


async def test_a_drain_that_nobody_is_left_to_carry_out_is_over(life: Life) -> None:
    for state, then in ((WorkerState.DRAINING, WorkerState.ACTIVE), (WorkerState.PAUSED, WorkerState.PAUSED)):
        await life.register(state, "1")
        await life.direct(state, state)
        await life.store.apply(EndDrain(state))
        assert await life.register(state, "2") is then


async def test_a_worker_that_is_not_there_cannot_be_directed(life: Life) -> None:
    with pytest.raises(NotFound):
        await life.direct(WorkerState.PAUSED, "nobody")
    assert await life.store.scan(WorkerWithRuns("nobody")) is None


async def test_what_a_worker_holds_is_known_with_its_tenant(life: Life) -> None:
    mine, _ = await life.submit(tenant="a"), await life.submit(tenant="b")
    await life.register()
    await life.take(2)
    found = await life.store.scan(WorkerWithRuns("w"))
    assert found is not None
    worker, runs = found
    assert worker.held == 2
    assert [run.job_id for run, tenant in runs if tenant == "a"] == [mine.id]
    life.later(LEASE)
    await life.lapse_leases()
    found = await life.store.scan(WorkerWithRuns("w"))
    assert found is not None
    assert (found[0].held, found[1]) == (0, [])


def gpus(count: int) -> list[Gpu]:
    return [Gpu(str(i)) for i in range(count)]


async def test_a_worker_keeps_its_gpus_for_a_run_that_has_waited_for_several(life: Life) -> None:
    await life.register("w", gpus=gpus(2))
    first = await life.submit(resources=Resources(gpus=1))
    large = await life.submit(resources=Resources(gpus=2))
    small = await life.submit(resources=Resources(gpus=1))
    without = await life.submit()
    assert [lease.job_id for lease in await life.take(1, gpus=2)] == [first.id]
    life.later(PATIENCE)
    assert [lease.job_id for lease in await life.take(9, gpus=1)] == [without.id]
    assert await life.take(9, gpus=1) == []
    assert [lease.job_id for lease in await life.take(9, gpus=2)] == [large.id]
    assert [lease.job_id for lease in await life.take(9, gpus=1)] == [small.id]


async def test_before_that_whoever_needs_fewer_gpus_may_go_first(life: Life) -> None:
    await life.register("w", gpus=gpus(2))
    await life.submit(resources=Resources(gpus=2))
    small = await life.submit(resources=Resources(gpus=1))
    life.later(PATIENCE - 1)
    assert [lease.job_id for lease in await life.take(9, gpus=1)] == [small.id]


async def test_only_the_worker_that_lacks_fewest_gpus_keeps_them(life: Life) -> None:
    for name, count in (("a", 4), ("b", 4), ("c", 2)):
        await life.register(name, gpus=gpus(count))
    for name, count in (("a", 3), ("b", 1)):
        await life.submit(resources=Resources(gpus=count))
        assert len(await life.take(1, name, gpus=4)) == 1
    large = await life.submit(resources=Resources(gpus=4))
    small = [await life.submit(resources=Resources(gpus=1)) for _ in range(3)]
    life.later(PATIENCE)
    for name in ("a", "b", "c"):
        await life.register(name, gpus=gpus(4 if name != "c" else 2))
    assert await life.take(9, "b", gpus=3) == []
    assert [lease.job_id for lease in await life.take(9, "a", gpus=1)] == [small[0].id]
    assert [lease.job_id for lease in await life.take(1, "c", gpus=2)] == [small[1].id]
    assert [lease.job_id for lease in await life.take(1, "b", gpus=4)] == [large.id]


async def test_a_worker_that_is_gone_keeps_nothing_from_the_others(life: Life) -> None:
    await life.register("gone", gpus=gpus(2))
    life.later(LEASE)
    await life.register("w", gpus=gpus(2))
    await life.submit(resources=Resources(gpus=2))
    await life.submit(resources=Resources(gpus=1))
    life.later(PATIENCE)
    assert await life.take(9, "w", gpus=1) == []
