"""The write-ahead log is copied into the database while the writer goes on, and does not grow for ever."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from assay.store.jobs import CreateJob
from assay.store.sqlite import SqliteStore, checkpoints
from assay.store.sqlite.checkpoints import Checkpoints
from assay.store.sqlite.connection import connect

from .life import Life, new_job

PAGE = 4096
PORTION, LONG = 20, 100


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies come soon, and never SQLite's own."""
    monkeypatch.setattr(checkpoints, "_PORTION", PORTION)
    monkeypatch.setattr(checkpoints, "_LONG", LONG)
    monkeypatch.setattr(checkpoints, "_TOO_LONG", 1_000_000)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "assay.db", durable=False)
    yield opened
    await opened.close()


def pages(path: Path) -> int:
    """How long the log has been so far: its file is used again, not shortened."""
    return path.with_name(f"{path.name}-wal").stat().st_size // PAGE


async def write(life: Life, jobs: int, kib: int = 16) -> None:
    """Create jobs whose specs have so many KiB each, with never a moment in which the writer has nothing to do."""

    async def create() -> None:
        for _ in range(jobs // 4):
            await life.store.apply(CreateJob(replace(new_job(life.new_id), spec=bytes(1024 * kib)), life.now))

    await asyncio.gather(*(create() for _ in range(4)))


async def test_the_log_begins_anew_while_the_writer_never_pauses(store: SqliteStore) -> None:
    await write(Life(store), 1200)
    assert store.path.stat().st_size > 1200 * 4 * PAGE / 2, "most of it is in the database by now"
    assert pages(store.path) < 1200 * 4 / 2


async def test_a_reader_keeps_the_log_from_beginning_anew_only_as_long_as_it_reads(store: SqliteStore) -> None:
    life = Life(store)
    await write(life, 40)
    reader = connect(store.path, read_only=True)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM jobs").fetchone()[0] == 40
    await write(life, 400)
    while_reading = pages(store.path)
    assert while_reading > 400 * 4
    assert reader.execute("SELECT count(*) FROM jobs").fetchone()[0] == 40
    reader.close()
    await write(life, 800)
    assert pages(store.path) < while_reading + 800 * 4 / 2


async def test_a_log_that_is_to_begin_anew_waits_for_who_reads_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_PATIENCE_MS", 60_000)
    writing, copying, reader, other = (connect(tmp_path / "a.db") for _ in range(4))
    other.execute("PRAGMA busy_timeout = 0")
    watched = Checkpoints(writing, copying)
    writing.execute("CREATE TABLE rows (text TEXT)")
    for _ in range(3 * LONG // 2 // 10):
        writing.execute("INSERT INTO rows VALUES (?)", ("x" * 10 * PAGE,))
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM rows").fetchone()[0] == 15
    writing.executemany("INSERT INTO rows VALUES (?)", [("y",)] * PORTION)
    await watched.after_commit()
    assert watched.under_way
    await watched.under_way
    anew = asyncio.create_task(watched.after_commit())
    while not anew.done() and may_write(other):
        await asyncio.sleep(0.001)
    reader.execute("ROLLBACK")
    await anew
    writing.execute("INSERT INTO rows VALUES ('z')")
    assert writing.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1] < PORTION
    assert writing.execute("PRAGMA busy_timeout").fetchone()[0] == 5000
    await watched.stop()
    for connection in (writing, reader, other):
        connection.close()


def may_write(connection: sqlite3.Connection) -> bool:
    """Whether nobody keeps others from writing."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    connection.execute("ROLLBACK")
    return True


async def test_large_rows_bring_copies_as_soon_as_many_small_ones(store: SqliteStore) -> None:
    await write(Life(store), 320, kib=256)
    assert pages(store.path) < 320 * 64 / 2


async def test_where_no_copy_can_be_made_sqlite_makes_its_own_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoints, "_TOO_LONG", LONG)
    writing, copying = connect(tmp_path / "a.db"), connect(tmp_path / "a.db")
    copying.close()
    watched = Checkpoints(writing, copying)
    writing.execute("CREATE TABLE rows (text TEXT)")
    for _ in range(100):
        writing.execute("INSERT INTO rows VALUES (?)", ("x" * 10 * PAGE,))
        await watched.after_commit()
        await asyncio.sleep(0)
    await watched.stop()
    assert pages(tmp_path / "a.db") < 3 * LONG
    assert "tried again later" in caplog.text
    writing.close()
    again = sqlite3.connect(tmp_path / "a.db")
    assert again.execute("SELECT count(*) FROM rows").fetchone() == (100,)
    again.close()


async def test_closing_waits_for_the_copy_that_is_under_way_and_leaves_everything_in_the_database(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "assay.db", durable=False)
    await write(Life(store), 40)
    await store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["assay.db", "assay.db.lock"]
    with sqlite3.connect(tmp_path / "assay.db") as alone:
        assert alone.execute("SELECT count(*) FROM jobs").fetchone() == (40,)
    alone.close()
