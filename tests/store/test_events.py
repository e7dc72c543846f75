"""Every change leaves an event, written with it."""

from __future__ import annotations

from assay.model.results import Report
from assay.model.states import JobState, Status
from assay.store.history import EventsBetween, EventsOfJob, JobSince, LastEvent

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
    assert (leased.run_id, leased.data) == (lease.run_id, {"benchmark_index": 0, "attempt": 1, "worker": "w"})
    assert (exited.run_id, exited.data) == (lease.run_id, {"exit_code": 9, "benchmark_index": 0, "attempt": 1})
    assert (running.run_id, running.type) == ("", "job.running")
    assert (failed.run_id, failed.data) == (
        lease.run_id,
        {"cause": "give_up", "benchmark_index": 0, "attempt": 1, "code": "", "message": ""},
    )
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


async def test_what_is_new_of_a_job_comes_with_how_it_stands_and_how_far_its_runs_are(life: Life) -> None:
    job = await life.submit(2)
    assert await life.store.lookup(JobSince("none", 0, 10)) is None
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    await life.beat(holding(lease, 3, 9))
    since = await life.store.lookup(JobSince(job.id, 0, 10))
    assert since is not None
    assert [event.type for event in since.events] == ["job.created", "run.leased", "run.running", "job.running"]
    assert since.state is JobState.RUNNING
    assert [(far.run_id, far.benchmark_index, far.done, far.total) for far in since.progress] == [(lease.run_id, 0, 3, 9)]
    later = await life.store.lookup(JobSince(job.id, since.events[1].seq, 1))
    assert later is not None
    assert later.events == since.events[2:3]


async def test_events_of_all_jobs_come_in_order_with_their_tenants(life: Life) -> None:
    assert await life.store.horizon() == await life.store.lookup(LastEvent()) == 0
    one, other = await life.submit(tenant="a"), await life.submit(tenant="b")
    await life.cancel(one)
    last = await life.store.horizon()
    assert last == await life.store.lookup(LastEvent()) == 4
    found = await life.store.scan(EventsBetween(0, last))
    assert [(tenant, event.job_id) for tenant, event in found] == [
        ("a", one.id),
        ("b", other.id),
        ("a", one.id),
        ("a", one.id),
    ]
    assert await life.store.scan(EventsBetween(1, 3)) == found[1:3]


async def test_a_change_of_what_users_see_of_a_run_is_an_event_too(life: Life) -> None:
    job = await life.submit()
    for _ in range(3):
        await life.report(job, Status.RUNNING)
    assert await story(life, job.id) == ["job.created", "run.running", "job.running"]
