"""Every change leaves an event, written with it."""

from __future__ import annotations

from assay.model.results import Report
from assay.model.states import Status
from assay.store.queries import EventsOfJob

from .life import DELAY, GRACE, LEASE, Life, holding


async def story(life: Life, job_id: str) -> list[str]:
    return [event.type for event in await life.store.lookup(EventsOfJob(job_id))]


async def test_the_whole_life_of_a_job_can_be_read_from_its_events(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    life.later(LEASE)
    await life.lapse_leases()
    (lease,) = await life.take()
    await life.end(lease, "failed", code="busy", temporary=True)
    life.later(DELAY)
    (lease,) = await life.take()
    await life.start(lease)
    await life.end(lease, "exited", code="process_exited", exit_code=9)
    life.later(GRACE)
    await life.lapse_graces()
    await life.report(job, Status.COMPLETED)
    assert await story(life, job.id) == [
        "job.created",
        "run.leased",
        "run.running",
        "job.running",
        "run.queued",
        "job.pending",
        "run.leased",
        "run.queued",
        "run.leased",
        "run.running",
        "job.running",
        "run.exited",
        "run.failed",
        "job.failed",
        "run.completed",
        "job.completed",
    ]


async def test_events_say_when_why_and_about_which_run(life: Life) -> None:
    job = await life.submit(2)
    await life.register()
    life.later()
    (lease,) = await life.take()
    life.later()
    await life.end(lease, "exited", exit_code=9)
    life.later(GRACE)
    await life.lapse_graces()
    created, leased, exited, running, failed = await life.events(job)
    assert (created.run_id, created.data) == ("", {"runs": 2})
    assert (leased.run_id, leased.data) == (lease.run_id, {"attempt": 1, "worker": "w"})
    assert (exited.run_id, exited.data) == (lease.run_id, {"exit_code": 9})
    assert (running.run_id, running.type) == ("", "job.running")
    assert (failed.run_id, failed.data) == (lease.run_id, {"cause": "give_up", "code": ""})
    assert [event.at for event in (created, leased, exited)] == [
        life.now - GRACE - 2_000_000 + i * 1_000_000 for i in range(3)
    ]
    assert failed.at == life.now


async def test_events_come_in_pages_by_their_growing_number(life: Life) -> None:
    job, other = await life.submit(), await life.submit()
    for one in (job, other, job):
        await life.report(one, Status.RUNNING)
    await life.cancel(job)
    events = await life.events(job)
    numbers = [event.seq for event in events]
    assert numbers == sorted(set(numbers))
    assert {event.job_id for event in events} == {job.id}
    for after in (0, *numbers):
        rest = [event for event in events if event.seq > after]
        assert await life.store.lookup(EventsOfJob(job.id, after)) == rest
        assert await life.store.lookup(EventsOfJob(job.id, after, 2)) == rest[:2]


async def test_what_is_refused_or_repeated_leaves_no_event(life: Life) -> None:
    job = await life.submit(2)
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    await life.report(job, Status.COMPLETED, 0)
    before = await story(life, job.id)
    await life.report(job, Status.FAILED, 0)
    await life.report(job, Status.RUNNING, 0, report=Report(phase="x"))
    await life.beat(holding(lease, 1, 2))
    assert await story(life, job.id) == before


async def test_cancelling_is_told_once_for_each_run_and_for_the_job(life: Life) -> None:
    job = await life.submit(3)
    await life.cancel(job)
    await life.cancel(job)
    assert await story(life, job.id) == ["job.created", *["run.cancelled"] * 3, "job.cancelled"]
