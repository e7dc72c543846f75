"""SQLite's writer and reading connections: what is visible when."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay.store.base import Statement, Steps, run
from assay.store.jobs import CreateJob
from assay.store.sqlite import SqliteStore

from .life import Gate, Life, new_job


@dataclass(frozen=True)
class Note:
    """Writes down when it is carried out."""

    name: str
    notes: list[str]

    def steps(self) -> Steps[None]:
        self.notes.append(self.name)
        yield from ()


@dataclass(frozen=True)
class LookTwice:
    """Reads one job twice, while somebody else changes it in between."""

    job_id: str
    path: Path

    def steps(self) -> Steps[tuple[int, int]]:
        (before,) = yield run("job_version", id=self.job_id)
        with sqlite3.connect(self.path) as other:
            other.execute("UPDATE jobs SET version = version + 1")
        other.close()
        (after,) = yield run("job_version", id=self.job_id)
        return before["version"], after["version"]


@dataclass(frozen=True)
class Pragma:
    """A setting of the writing connection."""

    name: str

    def steps(self) -> Steps[list[object]]:
        rows = yield Statement("pragma", {}, f"PRAGMA {self.name}")
        return [row[self.name] for row in rows]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "assay.db")
    yield opened
    await opened.close()


def jobs_in(path: Path) -> set[str]:
    """The jobs that another process would see."""
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as connection:
        found = {row[0] for row in connection.execute("SELECT id FROM jobs")}
    connection.close()
    return found


async def test_an_answer_is_given_only_once_everybody_can_see_what_was_written(store: SqliteStore) -> None:
    life, gate = Life(store), Gate()
    job = new_job(life.new_id)
    answer = asyncio.ensure_future(store.transact([CreateJob(job, life.now), gate]))
    await gate.entered.wait()
    assert not answer.done()
    assert jobs_in(store.path) == set()
    gate.opened.set()
    await answer
    assert jobs_in(store.path) == {job.id}


async def test_what_waited_during_a_commit_is_one_group_with_the_urgent_first(store: SqliteStore) -> None:
    gate, notes = Gate(), list[str]()
    calls = [asyncio.ensure_future(store.apply(gate))]
    await gate.entered.wait()
    calls += [asyncio.ensure_future(store.apply(Note(name, notes))) for name in ("a", "b")]
    calls += [asyncio.ensure_future(store.apply(Note(name, notes), urgent=True)) for name in ("beat 1", "beat 2")]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(*calls)
    assert notes == ["beat 1", "beat 2", "a", "b"]


@pytest.mark.parametrize("way", ["lookup", "scan"])
async def test_a_query_sees_one_moment_however_many_statements_it_takes(store: SqliteStore, way: str) -> None:
    life = Life(store)
    job = await life.submit()
    before, after = await getattr(store, way)(LookTwice(job.id, store.path))
    assert before == after
    assert (await life.job(job)).version > after


async def test_readers_read_while_the_writer_writes(store: SqliteStore) -> None:
    life, gate = Life(store), Gate()
    job = await life.submit()
    writing = asyncio.ensure_future(store.transact([CreateJob(new_job(life.new_id), life.now), gate]))
    await gate.entered.wait()
    assert (await life.job(job)).version == 1
    assert await life.ask("SELECT count(*) AS n FROM jobs") == [{"n": 1}]
    gate.opened.set()
    await writing


async def test_queries_cannot_write(store: SqliteStore) -> None:
    life = Life(store)
    job = await life.submit()
    for ask in (store.lookup, store.scan):
        with pytest.raises(Exception, match="cannot be opened for writing|refused"):
            await ask(CreateJob(new_job(life.new_id), life.now))
    assert jobs_in(store.path) == {job.id}


async def test_a_durable_store_syncs_every_commit(store: SqliteStore) -> None:
    rows = await store.apply(Pragma("synchronous"))
    assert rows == [2]
    assert await store.apply(Pragma("journal_mode")) == ["wal"]
    assert await store.apply(Pragma("foreign_keys")) == [1]
