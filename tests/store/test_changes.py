"""What is committed is told once, to those who count; what is refused is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
import pytest

from assay.model.errors import NotFound
from assay.model.results import Report
from assay.model.states import JobState, Status
from assay.store.changes import Change, JobActed, JobMoved, RunMoved
from assay.store.jobs import CancelJob, CreateJob

from .life import DELAY, GRACE, LEASE, Life, new_job


@pytest.fixture
def told(life: Life) -> list[Change]:
    """Everything that was told."""
    heard: list[Change] = []
    life.store.changes.listen(heard.extend)
    return heard


def jobs(told: Iterable[Change]) -> list[tuple[str | None, str]]:
    return [(one.before, one.state) for one in told if isinstance(one, JobMoved)]


def runs(told: Iterable[Change]) -> list[tuple[str, str]]:
    return [(one.benchmark, one.status) for one in told if isinstance(one, RunMoved)]


async def test_a_job_is_told_with_its_tenant_first_provider_collection_and_age(life: Life, told: list[Change]) -> None:
    job = await life.submit(2, tenant="t", collection="c")
    life.later(3_000_000)
    await life.cancel(job)
    assert told == [
        JobMoved("t", "p", "c", None, JobState.PENDING, 0.0),
        JobActed("created", "process", "t"),
        RunMoved("t", "p", "b0", Status.CANCELLED, None),
        RunMoved("t", "p", "b1", Status.CANCELLED, None),
        JobMoved("t", "p", "c", JobState.PENDING, JobState.CANCELLED, 3.0),
        JobActed("cancelled", "process", "t"),
    ]


async def test_leases_that_lapse_and_graces_that_run_out_are_told(life: Life, told: list[Change]) -> None:
    await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    life.later(LEASE)
    await life.lapse_leases()
    (lease,) = await life.take()
    await life.start(lease)
    await life.end(lease, "failed", code="busy", temporary=True)
    life.later(DELAY)
    (lease,) = await life.take()
    await life.end(lease, "exited", code="process_exited", exit_code=9)
    life.later(GRACE)
    await life.lapse_graces()
    moves = ["pending", "running", "pending", "running", "pending", "running", "failed"]
    assert jobs(told) == list(zip([None, *moves], moves, strict=False))
    assert runs(told) == [("b0", status) for status in moves[1:]]


async def test_a_report_that_overrules_the_watchdog_is_told_as_another_end(life: Life, told: list[Change]) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    await life.end(lease, "exited", code="process_exited", exit_code=9)
    life.later(GRACE)
    await life.lapse_graces()
    told.clear()
    await life.report(job, Status.COMPLETED)
    await life.report(job, Status.COMPLETED, fence=lease.fence)
    assert jobs(told) == [("failed", "completed")]
    assert runs(told) == [("b0", "completed")]


async def test_a_run_tells_how_long_it_took(life: Life, told: list[Change]) -> None:
    job = await life.submit()
    times = Report(started_at="2026-01-01T00:00:00Z", completed_at="2026-01-01t00:01:00.5z")
    await life.report(job, Status.COMPLETED, report=times)
    assert [one.took_s for one in told if isinstance(one, RunMoved)] == [60.5]


async def test_what_changes_nothing_that_is_seen_tells_nothing(life: Life, told: list[Change]) -> None:
    job = await life.submit(key="k")
    await life.register()
    await life.take()
    told.clear()
    again = msgspec.structs.replace(new_job(life.new_id), idempotency_key="k", id="another")
    known, _ = await life.store.apply(CreateJob(again, life.now))
    assert known.id == job.id
    await life.report(job, Status.PENDING, report=Report(phase="warming up"))
    assert told == []


async def test_a_refused_operation_of_a_group_tells_nothing_and_the_others_do(life: Life, told: list[Change]) -> None:
    job = await life.submit()
    other, clash = new_job(life.new_id), new_job(life.new_id)
    told.clear()
    answers = await life.store.transact(
        [
            CreateJob(other, life.now),
            CancelJob("unknown", None, life.now),
            CreateJob(msgspec.structs.replace(clash, id=job.id), life.now),
            CancelJob(job.id, None, life.now),
            CancelJob(job.id, None, life.now),
        ]
    )
    assert isinstance(answers[1], NotFound)
    assert jobs(told) == [(None, "pending"), ("pending", "cancelled")]
    assert [one.action for one in told if isinstance(one, JobActed)] == ["created", "cancelled"]


async def test_operations_that_are_committed_together_are_told_once_each(life: Life, told: list[Change]) -> None:
    made = [new_job(life.new_id) for _ in range(300)]
    await asyncio.gather(*(life.store.apply(CreateJob(job, life.now)) for job in made))
    await asyncio.gather(*(life.cancel(job) for job in made))
    assert jobs(told).count((None, "pending")) == 300
    assert jobs(told).count(("pending", "cancelled")) == 300
    assert len(runs(told)) == 300


async def test_whoever_waits_for_an_answer_finds_it_told(life: Life, told: list[Change]) -> None:
    for number in range(1, 20):
        await life.submit()
        assert len(jobs(told)) == number


async def test_a_listener_that_goes_wrong_harms_nobody(life: Life) -> None:
    def broken(_changes: Iterable[Change]) -> None:
        raise RuntimeError("a mistake in a listener")

    heard: list[Change] = []
    life.store.changes.listen(broken)
    life.store.changes.listen(heard.extend)
    job = await life.submit()
    await life.cancel(job)
    assert jobs(heard) == [(None, "pending"), ("pending", "cancelled")]
