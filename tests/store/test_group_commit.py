"""Operations of one group: each fails alone, and nothing is answered or announced that was refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec
import pytest

from assay.model.errors import AssayError, NotFound, StoreUnavailable
from assay.store.base import QUEUE, Signal, Steps, Store, job_topic, run
from assay.store.jobs import CancelJob, CreateJob
from assay.store.queries import JobVersion

from .life import Life, new_job


@dataclass(frozen=True)
class Break:
    """Writes half of something, asks for a wake-up, then goes wrong in a way nobody foresaw."""

    job_id: str

    def steps(self) -> Steps[None]:
        yield run("touch_job", id=self.job_id, now=1)
        yield [Signal("broken")]
        raise RuntimeError("a mistake in an operation")


async def test_an_operation_that_fails_fails_alone(life: Life) -> None:
    one, two = new_job(life.new_id), new_job(life.new_id)
    clash = msgspec.structs.replace(two, id=one.id)
    created, missing, clashing, again = await life.store.transact(
        [
            CreateJob(one, life.now),
            CancelJob("unknown", None, life.now),
            CreateJob(clash, life.now),
            CreateJob(two, life.now),
        ]
    )
    assert created == one.created(life.now)
    assert isinstance(missing, NotFound)
    assert isinstance(clashing, AssayError)
    assert "CreateJob could not be written" in clashing.message
    assert again == two.created(life.now)
    for job in (one, two):
        assert len(await life.runs(job)) == 1
    await life.check_counters()


async def test_an_operation_with_a_mistake_is_undone_and_the_others_are_not(life: Life) -> None:
    job = await life.submit()
    other = new_job(life.new_id)
    broken, made = await life.store.transact([Break(job.id), CreateJob(other, life.now)])
    assert type(broken) is AssayError
    assert broken.message == "An internal server error occurred: 'Break failed'."
    assert made == other.created(life.now)
    assert await life.store.lookup(JobVersion(job.id)) == ("", 1, "pending")


async def test_many_callers_each_get_their_own_answer(life: Life) -> None:
    jobs = [new_job(life.new_id) for _ in range(300)]
    calls = [life.store.apply(CreateJob(job, life.now)) for job in jobs]
    refusals = [life.store.apply(CancelJob(f"unknown {i}", None, life.now)) for i in range(50)]
    answers = await asyncio.gather(*calls, *refusals, return_exceptions=True)
    assert answers[:300] == [job.created(life.now) for job in jobs]
    for i, refusal in enumerate(answers[300:]):
        assert isinstance(refusal, NotFound)
        assert f"unknown {i}" in refusal.message
    await life.check_counters()


async def test_nothing_to_do_is_answered_with_nothing(store: Store) -> None:
    assert await store.transact([]) == []


async def test_what_is_asked_for_after_an_answer_sees_it(life: Life) -> None:
    for _ in range(50):
        job = await life.submit()
        assert await life.store.lookup(JobVersion(job.id)) == ("", 1, "pending")


async def test_whoever_waits_is_woken_by_the_commit(life: Life) -> None:
    queued = life.store.signals.ticket([QUEUE])
    job = await life.submit()
    assert await queued.wait(5)
    told = life.store.signals.ticket([job_topic(job.id)])
    await life.cancel(job)
    assert await told.wait(5)


async def test_a_refused_operation_wakes_nobody(life: Life) -> None:
    job = await life.submit()
    ticket, bystander = (life.store.signals.ticket([topic]) for topic in ("broken", "something else"))
    await life.store.transact([Break(job.id)])
    await life.submit()
    # A store that begins to hear of others wakes everybody.
    assert ticket.waiter.done() is bystander.waiter.done()
    ticket.drop()
    bystander.drop()


async def test_a_caller_that_goes_away_harms_nobody(life: Life) -> None:
    gone = new_job(life.new_id)
    task = asyncio.ensure_future(life.store.apply(CreateJob(gone, life.now)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    job = await life.submit()
    assert await life.store.lookup(JobVersion(job.id)) is not None


async def test_closing_writes_what_waits_and_refuses_what_comes_after(store: Store) -> None:
    life = Life(store)
    jobs = [new_job(life.new_id) for _ in range(20)]
    waiting = [asyncio.ensure_future(store.apply(CreateJob(job, life.now))) for job in jobs]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*waiting) == [job.created(life.now) for job in jobs]
    with pytest.raises(StoreUnavailable, match="stopping"):
        await store.apply(CreateJob(new_job(life.new_id), life.now))
