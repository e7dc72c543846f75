"""What the settings do not ask to keep goes once its job has ended long enough ago; nothing else ever does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay.artifacts import holding
from assay.artifacts.blobs import BlobStore
from assay.artifacts.log_folders import LogFolders
from assay.config import load
from assay.model.exports import MLFLOW
from assay.model.ids import first_id
from assay.model.records import NewJob
from assay.model.states import Status, WorkerState
from assay.scheduler.identifiers import now
from assay.scheduler.inputs import Inputs
from assay.scheduler.recovery import sweep_once
from assay.scheduler.retention import Cleaned, Policy, Retention
from assay.store.base import Operation, Steps, run
from assay.store.changes import Change, JobActed
from assay.store.exports import EndExport
from assay.store.outbox import DueParcels, TakeParcels
from assay.store.queries import Workers
from assay.store.retention import BATCH, EVENTS, DropEvents, ExpireJob

from .life import SECOND, Life
from .test_exports import ARRIVED

DAY = 86_400 * SECOND
NEVER = Policy(jobs=0, jobs_of={}, logs=0, events=0, log_bytes=-1, workers=0)


class Kept:
    """A life whose jobs ended some days ago, and the logs that they left."""

    def __init__(self, life: Life, data: Path) -> None:
        self.life, self.data = life, data
        self.folders = LogFolders(data)

    async def ended(self, days_ago: float, log: int = 0, **more: Any) -> NewJob:
        """A job that ended so many days ago, with a log of so many bytes."""
        self.life.now = now() - round(days_ago * DAY)
        job = await self.life.submit(**more)
        await self.life.report(job, Status.COMPLETED)
        self.log(job, log)
        return job

    async def open(self, days_ago: float, log: int = 0) -> NewJob:
        self.life.now = now() - round(days_ago * DAY)
        job = await self.life.submit()
        self.log(job, log)
        return job

    def log(self, job: NewJob, size: int) -> None:
        if size:
            (self.folders.root / job.id).mkdir(parents=True)
            (self.folders.root / job.id / "0.1.log").write_bytes(b"x" * size)

    def retention(self, **policy: Any) -> Retention:
        return Retention(self.life.store, self.folders, NEVER._replace(**policy))

    async def clean(self, **policy: Any) -> Cleaned:
        """Clean up; what a dry run said before must be what went."""
        retention = self.retention(**policy)
        before = await self.state()
        said = await retention.clean(dry_run=True)
        assert await self.state() == before
        assert await retention.clean() == said
        await self.life.check_counters()
        assert not await retention.clean()
        return said

    async def state(self) -> list[Any]:
        rows = await self.life.ask("SELECT (SELECT count(*) FROM jobs) AS jobs, (SELECT count(*) FROM events) AS events")
        return [*rows[0].values(), self.folders.jobs()]

    async def jobs(self) -> set[str]:
        return {row["id"] for row in await self.life.ask("SELECT id FROM jobs")}


@pytest.fixture
def kept(life: Life, tmp_path: Path) -> Kept:
    return Kept(life, tmp_path)


async def test_jobs_go_when_they_ended_long_enough_ago(kept: Kept) -> None:
    old, young = await kept.ended(31, log=100), await kept.ended(29, log=100)
    failed = await kept.ended(29)
    cleaned = await kept.clean(jobs=30)
    assert await kept.jobs() == {young.id, failed.id}
    assert cleaned == Cleaned(jobs=1, tenants={"": 1}, log_bytes=100)
    assert kept.folders.jobs() == [young.id]
    assert old.id not in await kept.jobs()


async def test_an_open_job_stays_however_old_it_is(kept: Kept) -> None:
    waiting = await kept.open(1000, log=100)
    cleaned = await kept.clean(jobs=1, logs=1, events=1, log_bytes=1)
    assert not cleaned
    assert await kept.jobs() == {waiting.id}
    assert await kept.life.events(waiting)
    assert kept.folders.jobs() == [waiting.id]


async def test_a_job_counts_from_its_end_and_not_from_its_beginning(kept: Kept) -> None:
    job = await kept.open(100)
    kept.life.now = now() - 5 * DAY
    await kept.life.report(job, Status.COMPLETED)
    assert not await kept.clean(jobs=30)
    assert (await kept.clean(jobs=4)).jobs == 1


async def test_a_job_whose_card_is_on_its_way_stays_until_it_has_arrived(kept: Kept) -> None:
    job = await kept.ended(100, log=10, exports=[MLFLOW])
    assert not await kept.clean(jobs=1, logs=1, events=1, log_bytes=1)
    due = await kept.life.store.lookup(DueParcels(kept.life.now, 1))
    (parcel,) = await kept.life.store.apply(TakeParcels([(one, SECOND) for one in due], kept.life.now))
    assert await kept.life.store.apply(EndExport(parcel, ARRIVED, kept.life.now))
    assert (await kept.clean(jobs=1)).jobs == 1
    assert job.id not in await kept.jobs()


async def test_a_tenant_may_have_a_time_of_its_own(kept: Kept) -> None:
    for tenant in ("", "ci", "archive"):
        await kept.ended(10, tenant=tenant)
    cleaned = await kept.clean(jobs=30, jobs_of={"ci": 7})
    assert cleaned.tenants == {"ci": 1}
    cleaned = await kept.clean(jobs=7, jobs_of={"archive": 0})
    assert cleaned.tenants == {"": 1}
    assert (await kept.clean(jobs_of={"archive": 1})).tenants == {"archive": 1}


async def test_more_jobs_than_one_batch_go_and_each_is_told_once(kept: Kept) -> None:
    for _ in range(2 * BATCH + 10):
        await kept.ended(40)
    stays = await kept.ended(1)
    told: list[Change] = []
    kept.life.store.changes.listen(lambda changes: told.extend(changes))
    cleaned = await kept.clean(jobs=30)
    assert cleaned.jobs == 2 * BATCH + 10
    assert await kept.jobs() == {stays.id}
    assert sum(isinstance(change, JobActed) and change.action == "deleted" for change in told) == cleaned.jobs


class _Many:
    """Put many events into a job's history."""

    def __init__(self, job: NewJob, n: int) -> None:
        self.job, self.n = job, n

    def steps(self) -> Steps[None]:
        for _ in range(self.n):
            yield run("insert_event", job_id=self.job.id, run_id="", at=1, type="t", data=b"{}")


async def test_a_job_with_a_long_history_loses_it_in_pieces_first(kept: Kept) -> None:
    job = await kept.ended(40)
    many: Operation[None] = _Many(job, 2 * EVENTS + 5)
    await kept.life.store.apply(many)
    assert await kept.life.store.apply(ExpireJob(job.id, now(), now())) is None
    assert await kept.life.store.apply(DropEvents(job.id, now())) == EVENTS
    assert (await kept.clean(jobs=30)).jobs == 1
    assert await kept.jobs() == set()


async def test_events_go_and_their_jobs_stay(kept: Kept) -> None:
    old, young = await kept.ended(40), await kept.ended(1)
    n = len(await kept.life.events(old))
    cleaned = await kept.clean(events=30)
    assert cleaned == Cleaned(events=n)
    assert await kept.life.events(old) == []
    assert len(await kept.life.events(young)) == n
    assert await kept.jobs() == {old.id, young.id}


async def test_logs_go_and_their_jobs_stay(kept: Kept) -> None:
    old, young = await kept.ended(40, log=70), await kept.ended(1, log=70)
    cleaned = await kept.clean(logs=30)
    assert cleaned == Cleaned(logs=1, log_bytes=70)
    assert kept.folders.jobs() == [young.id]
    assert await kept.jobs() == {old.id, young.id}


async def test_of_too_many_logs_those_of_the_oldest_ended_jobs_go(kept: Kept) -> None:
    waiting = await kept.open(100, log=50)
    jobs = [await kept.ended(days, log=100) for days in (50, 40, 30, 20)]
    cleaned = await kept.clean(log_bytes=260)
    assert cleaned == Cleaned(logs=2, log_bytes=200)
    assert set(kept.folders.jobs()) == {waiting.id, jobs[2].id, jobs[3].id}


async def test_while_a_backup_holds_the_files_logs_stay_and_the_sweep_takes_them_later(kept: Kept) -> None:
    job = await kept.ended(40, log=10)
    blobs = BlobStore(kept.data / "blobs")
    inputs = Inputs(kept.life.store, blobs)
    with blobs.writer() as writer:
        writer.write(b"of no job")
        writer.commit()
    with holding.held(kept.data):
        assert (await kept.retention(jobs=30).clean()).jobs == 1
        assert kept.folders.jobs() == [job.id]
        assert await sweep_once(kept.life.store, inputs, kept.folders, 2e9) == (0, 0)
    assert await sweep_once(kept.life.store, inputs, kept.folders, 2e9) == (1, 1)
    assert kept.folders.jobs() == []


async def test_the_sweep_leaves_the_logs_of_jobs_that_are_there_or_may_be_about_to_be(kept: Kept) -> None:
    job = await kept.open(40, log=10)
    (kept.folders.root / first_id(now() / 1e6)).mkdir()
    inputs = Inputs(kept.life.store, BlobStore(kept.data / "blobs"))
    await sweep_once(kept.life.store, inputs, kept.folders, now() / 1e6 - 3600)
    assert len(kept.folders.jobs()) == 2
    assert job.id in kept.folders.jobs()


async def test_a_worker_goes_that_holds_nothing_and_was_not_heard_of_for_long_enough(kept: Kept) -> None:
    life = kept.life
    for name, days_ago in (("old", 8), ("busy", 8), ("young", 6)):
        life.now = now() - round(days_ago * DAY)
        await life.register(name)
    job = await life.submit()
    await life.take(1, "busy")
    cleaned = await kept.clean(workers=7)
    assert cleaned == Cleaned(workers=1)
    assert [worker.name for worker in await life.store.lookup(Workers())] == ["busy", "young"]
    assert (await life.run(job)).worker == "busy"


async def test_what_a_worker_was_told_is_forgotten_with_it_and_not_before(kept: Kept) -> None:
    life = kept.life
    for name, days_ago, state in (("old", 8, WorkerState.ACTIVE), ("young", 6, WorkerState.PAUSED)):
        life.now = now() - round(days_ago * DAY)
        await life.register(name)
        await life.direct(WorkerState.PAUSED, name)
        await kept.clean(workers=7)
        assert await life.register(name, "2") is state


async def test_no_worker_is_forgotten_before_its_lease_would_have_lapsed() -> None:
    settings = load({}, {"ASSAY_KEEP_WORKERS_DAYS": "0.00001", "ASSAY_LEASE_SECONDS": "864"})
    assert Policy.of(settings).workers == 0.01
    assert Policy.of(load({}, {"ASSAY_KEEP_WORKERS_DAYS": "0"})).workers == 0


async def test_nothing_goes_unless_a_setting_asks_for_it(kept: Kept) -> None:
    await kept.ended(10_000, log=10)
    await kept.life.register()
    assert not await kept.clean()
    assert not NEVER
