"""Database files that cannot be used: each is named, left as it is, and the remedy is told."""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assay.model.errors import StoreUnusable
from assay.store.history import EventsOfJob
from assay.store.jobs import CreateJob
from assay.store.pages import JobFilter, JobsWithRuns, PageVersions
from assay.store.queries import RunPlan
from assay.store.sqlite import SqliteStore

from .life import Life, new_job

PAGE = 4096


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write anywhere; be somebody who may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can reach."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
async def full(tmp_path: Path) -> Path:
    """A database with a few hundred jobs that was closed properly."""
    path = tmp_path / "assay.db"
    store = SqliteStore(path)
    life = Life(store)
    jobs = [new_job(life.new_id, 2, tags=["a"], spec=b'{"name":"' + b"x" * 3_000 + b'"}') for _ in range(300)]
    await store.transact([CreateJob(job, life.now) for job in jobs])
    await store.close()
    assert path.stat().st_size > 300 * PAGE
    return path


def refused(path: Path) -> StoreUnusable:
    with pytest.raises(StoreUnusable) as refusal:
        SqliteStore(path)
    assert str(path) in refusal.value.message
    return refusal.value


async def use_everything(path: Path) -> None:
    """Open a database and read all of it."""
    store = SqliteStore(path)
    try:
        rows, _ = await store.scan(PageVersions(JobFilter(""), 0, 0))
        for job, runs in await store.scan(JobsWithRuns(tuple(job_id for job_id, _ in rows))):
            assert len(job.spec) > 3_000
            await store.lookup(EventsOfJob(job.id))
            for run in runs:
                assert await store.lookup(RunPlan(run.id)) is not None
    finally:
        await store.close()


@pytest.mark.parametrize("content", [b"hello", b"SQLite format 3\0" + bytes(84), random.Random(1).randbytes(10 * PAGE)])
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "assay.db"
    path.write_bytes(content)
    refusal = refused(path)
    assert "damaged or not a database" in refusal.message
    assert "Restore it from a backup" in refusal.message
    assert path.read_bytes() == content


@pytest.mark.parametrize("part", [0.3, 0.5, 0.99])
async def test_a_truncated_file_is_refused_and_left_as_it_is(full: Path, part: float) -> None:
    content = full.read_bytes()
    content = content[: int(len(content) * part)]
    full.write_bytes(content)
    with pytest.raises(StoreUnusable, match="damaged") as refusal:
        await use_everything(full)
    assert str(full) in refusal.value.message
    assert full.read_bytes() == content


@pytest.mark.parametrize("seed", range(6))
async def test_a_page_that_was_overwritten_is_told_as_soon_as_it_is_needed(full: Path, seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(full.read_bytes())
    at = chance.randrange(1, len(content) // PAGE // 4) * PAGE
    content[at : at + 40 * PAGE] = chance.randbytes(40 * PAGE)
    full.write_bytes(content)
    with pytest.raises(StoreUnusable, match="damaged") as refusal:
        await use_everything(full)
    assert str(full) in refusal.value.message
    assert full.read_bytes() == content


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "assay.db"
    path.touch()
    store = SqliteStore(path)
    await Life(store).submit()
    await store.close()


async def test_the_folder_of_a_new_database_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "assay.db"
    await SqliteStore(path).close()
    assert path.exists()


async def test_a_folder_that_may_not_be_written_to_is_named_with_the_remedy(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o555)
    with unprivileged():
        for path in (closed / "assay.db", closed / "new" / "assay.db"):
            refusal = refused(path)
            assert f"Give this user write access to {path.parent}" in refusal.message
            assert "--data" in refusal.message
    assert list(closed.iterdir()) == []


async def test_a_database_that_may_not_be_written_to_is_named_and_left_as_it_is(open_folder: Path) -> None:
    path = open_folder / "assay.db"
    await SqliteStore(path).close()
    content = path.read_bytes()
    path.chmod(0o444)
    open_folder.chmod(0o777)
    (open_folder / "assay.db.lock").chmod(0o666)
    with unprivileged():
        assert "Give this user write access" in refused(path).message
    assert path.read_bytes() == content


@pytest.mark.parametrize("made", ["file", "folder"])
async def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path, made: str) -> None:
    if made == "file":
        (tmp_path / "taken").touch()
        path = tmp_path / "taken" / "assay.db"
    else:
        path = tmp_path / "assay.db"
        path.mkdir()
    refused(path)


async def test_a_second_server_on_one_file_is_refused_until_the_first_has_stopped(tmp_path: Path) -> None:
    path = tmp_path / "assay.db"
    first = SqliteStore(path)
    refusal = refused(path)
    assert "another Assay server is using it" in refusal.message
    assert "--data" in refusal.message
    job = await Life(first).submit()
    await first.close()
    second = SqliteStore(path)
    assert (await Life(second).job(job)).id == job.id
    await second.close()


async def test_a_refused_file_is_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "assay.db"
    path.write_bytes(b"hello")
    before = os.listdir("/proc/self/fd")
    refused(path)
    assert len(os.listdir("/proc/self/fd")) == len(before)
    path.unlink()
    await SqliteStore(path).close()


async def test_a_closed_database_is_one_file_that_any_copy_command_can_take(full: Path) -> None:
    assert sorted(file.name for file in full.parent.iterdir()) == ["assay.db", "assay.db.lock"]
    with sqlite3.connect(full) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    await use_everything(full)
