"""Migrations: each applied once, in order, and never over something that is not ours."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from assay.model.errors import StoreUnusable
from assay.store import migrations
from assay.store.queries import JobCounts
from assay.store.sqlite import SqliteStore
from assay.store.sqlite.connection import connect
from assay.store.sqlite.migrations import migrate

from .attempted import ATTEMPTED, they_go_on
from .life import Life
from .tagged import TAGGED, kept, with_x_and_y


def ledger(path: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute(
            "SELECT number, name, checksum, applied_at FROM schema_migrations ORDER BY number"
        ).fetchall()
    connection.close()
    return rows


def alter(path: Path, sql: str) -> bytes:
    """Change a database behind the store's back; return the file's bytes."""
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute(sql)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.read_bytes()


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    made = tmp_path / "assay.db"
    await SqliteStore(made).close()
    return made


async def test_each_migration_is_applied_once_and_in_order(path: Path) -> None:
    first = ledger(path)
    numbers = [number for number, *_ in first]
    assert numbers == list(range(1, len(numbers) + 1))
    store = SqliteStore(path)
    await Life(store).submit()
    await store.close()
    assert ledger(path) == first
    assert migrate_again(path) == []


def migrate_again(path: Path) -> list[str]:
    connection = connect(path)
    try:
        return migrate(connection, path)
    finally:
        connection.close()


async def test_a_migration_that_was_changed_since_is_refused(path: Path) -> None:
    content = alter(path, "UPDATE schema_migrations SET checksum = 'other' WHERE number = 1")
    with pytest.raises(StoreUnusable, match=f"{path}.*its migration 1 differs from ours"):
        SqliteStore(path)
    assert path.read_bytes() == content


async def test_a_database_of_a_newer_version_is_refused(path: Path) -> None:
    content = alter(path, "INSERT INTO schema_migrations VALUES (9999, '9999_future.sql', 'x', 0)")
    with pytest.raises(StoreUnusable, match=f"{path}.*a newer version of Assay wrote it.*or a later one"):
        SqliteStore(path)
    assert path.read_bytes() == content


async def test_a_refused_database_can_be_opened_once_it_is_put_right(path: Path) -> None:
    alter(path, "INSERT INTO schema_migrations VALUES (9999, '9999_future.sql', 'x', 0)")
    with pytest.raises(StoreUnusable):
        SqliteStore(path)
    alter(path, "DELETE FROM schema_migrations WHERE number = 9999")
    await SqliteStore(path).close()


async def test_a_migration_that_fails_leaves_the_database_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ledger(path)
    broken = (
        len(before) + 1,
        "broken.sql",
        "CREATE TABLE half (a INTEGER) STRICT;\nCREATE TABLE jobs (a INTEGER) STRICT;",
        "c",
    )
    monkeypatch.setattr("assay.store.sqlite.migrations.outstanding", lambda *_: [broken])
    with pytest.raises(Exception, match="jobs|refused"):
        SqliteStore(path)
    monkeypatch.undo()
    assert ledger(path) == before
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema WHERE name = 'half'").fetchall() == []
    connection.close()
    await SqliteStore(path).close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_the_migrations_that_ship_are_numbered_without_a_gap(dialect: str) -> None:
    numbers = [number for number, *_ in migrations.available(dialect)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_both_dialects_have_the_same_migrations() -> None:
    names = [[name for _, name, *_ in migrations.available(dialect)] for dialect in ("sqlite", "postgres")]
    assert names[0] == names[1]


async def test_tables_that_are_made_anew_keep_their_rows_and_what_refers_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "assay.db"
    connection = of_before(10, path, monkeypatch)
    connection.executescript(
        """
        INSERT INTO jobs (id, kind, tenant, owner, name, state, created_at, updated_at, n_pending, model)
          VALUES ('j', 'evaluation', 't', 'o', 'n', 'pending', 1, 2, 1, 'm');
        INSERT INTO job_specs (job_id, spec) VALUES ('j', x'7b7d');
        INSERT INTO job_tags (tenant, tag, job_id) VALUES ('t', 'x', 'j');
        INSERT INTO runs (id, job_id, idx, provider_id, benchmark_id, engine, state, status, priority, queued_at,
          available_at, max_attempts, lane) VALUES ('r', 'j', 0, 'p', 'b', 'e', 'queued', 'pending', 5, 1, 1, 3, 'l');
        INSERT INTO plans (run_id, digest, plan, context) VALUES ('r', 'd', x'7b7d', x'7b7d');
        INSERT INTO events (job_id, run_id, at, type, data) VALUES ('j', '', 1, 'job.created', x'7b7d');
        """
    )
    before = {table: contents(connection, table) for table in ("jobs", "job_specs", "job_tags", "runs", "plans", "events")}
    counts = contents(connection, "job_counts")
    connection.close()
    assert "0010_cheap_checks.sql" in migrate_again(path)
    connection = connect(path)
    for table, rows in before.items():
        assert [one | row for one, row in zip(contents(connection, table), rows, strict=True)] == contents(connection, table)
    assert contents(connection, "job_counts") == counts
    connection.execute("UPDATE jobs SET state = 'cancelled' WHERE id = 'j'")
    assert {(row["state"], row["n"]) for row in contents(connection, "job_counts")} == {("pending", 0), ("cancelled", 1)}
    connection.execute("DELETE FROM jobs")
    assert all(contents(connection, table) == [] for table in before)
    connection.close()


async def test_jobs_from_before_are_counted_and_found_by_several_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "assay.db"
    connection = of_before(13, path, monkeypatch)
    connection.executescript(TAGGED)
    connection.close()
    store = SqliteStore(path)
    assert await kept(store) == {"few": {",x,y,"}, "many": {""}, "one": {",x,"}}
    assert await with_x_and_y(store) == ["many", "few"]
    assert await store.scan(JobCounts()) == [("t", "pending", 3)]
    await store.close()


async def test_attempts_from_before_are_kept_and_what_goes_on_can_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "assay.db"
    connection = of_before(17, path, monkeypatch)
    connection.executescript(ATTEMPTED.replace("BYTES", "BLOB"))
    connection.close()
    store = SqliteStore(path)
    await they_go_on(store)
    await store.close()


def of_before(number: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> sqlite3.Connection:
    """Make a database as it was before a migration."""
    earlier = [one for one in migrations.available("sqlite") if one.number < number]
    connection = connect(path)
    with monkeypatch.context() as patched:
        patched.setattr("assay.store.sqlite.migrations.outstanding", lambda *_: earlier)
        migrate(connection, path)
    return connection


def contents(connection: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]


async def test_a_database_with_rows_that_refer_to_nothing_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "assay.db"
    connection = connect(path)
    connection.execute("PRAGMA foreign_keys = OFF")
    first = migrations.available("sqlite")[0]
    connection.executescript(first.sql)
    connection.execute(
        "CREATE TABLE schema_migrations (number INTEGER PRIMARY KEY, name TEXT, checksum TEXT, applied_at INTEGER) STRICT"
    )
    connection.execute("INSERT INTO schema_migrations VALUES (1, ?, ?, 1)", (first.name, first.checksum))
    connection.execute("INSERT INTO plans (run_id, digest, plan, context) VALUES ('nobody', 'd', x'', x'')")
    connection.close()
    with pytest.raises(StoreUnusable, match="refer to others that are missing"):
        SqliteStore(path)
    assert [row[0] for row in ledger(path)] == [1]
