"""No page and no named statement reads a whole table: each is answered from an index."""

from __future__ import annotations

import contextlib
import itertools
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.store.base import Statement
from assay.store.pages import JobFilter, Match, PageVersions
from assay.store.sqlite.connection import connect
from assay.store.sqlite.migrations import migrate
from assay.store.statements import statements

OPEN_RUNS = ("runs_queue", "runs_ready", "runs_by_worker", "runs_by_grace")
"""Partial indexes: they hold only runs that wait or are worked on, never the history."""

SMALL = ("workers", "job_counts")
"""Tables with a row for each worker, and for each tenant and state."""

ON_PURPOSE = {
    "snapshot_digests": "clean-up asks once in a while which snapshots are still named, from an index that holds just that",
    "artifact_digests": "clean-up asks once in a while which blobs are still named, from an index that holds just that",
    "keys": "the list of all keys, for those who manage them",
    "any_key": "the first key that comes",
    "skip_versions": "a restore, once in the life of a database",
    "skip_fences": "a restore",
    "skip_export_fences": "a restore",
    "recent_durations": "the newest attempts, from the end of their key, as many as are asked for",
    "last_event": "the table has one row for each numbered table",
    "skip_events": "a restore; the table has one row for each numbered table",
}
"""Statements that read all of something, and why they may."""

COLUMNS = ("name", "tag", "owner", "experiment", "collection", "model", "state")
FRAGMENTS = [name for name in statements() if name.startswith(("only_", "branch_", "look_")) or name == "page"]
WHOLE = [name for name in statements() if name not in FRAGMENTS]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = Path(tmp_path_factory.mktemp("plans")) / "assay.db"
    connection = connect(path, durable=False)
    migrate(connection, path)
    yield connection
    connection.close()


def plan(database: sqlite3.Connection, sql: str) -> list[str]:
    parameters = dict.fromkeys(re.findall(r":([a-z]\w*)", sql), "[]")
    return [row["detail"] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]


def whole_reads(steps: list[str]) -> list[str]:
    """The steps that read all of something that grows with the history."""
    found = []
    for step in steps:
        if not step.startswith("SCAN") or re.match(r"SCAN (\(|CONSTANT ROW|json_each|[bp]\b(?! USING))", step):
            continue  # a list of values given by the caller, or what an inner step has found
        index = re.search(r"USING (?:COVERING )?INDEX (\w+)", step)
        if index and index[1] in OPEN_RUNS:
            continue
        if step.split()[1] in SMALL or f"CO-ROUTINE {step.split()[1]}" in steps:
            continue
        found.append(step)
    return found


def filters() -> Iterator[JobFilter]:
    """Each column as it may lead, alone and with every other column that restricts."""
    matches = {
        "one": Match(any_of=("a",)),
        "or": Match(any_of=("a", "b", "c")),
        "and": Match(all_of=("a", "b")),
        "not": Match(none_of=("a", "b")),
    }
    yield JobFilter("")
    yield JobFilter("", since="0", before="1")
    for column, kind in itertools.product(COLUMNS, matches):
        yield JobFilter("", {column: matches[kind]})
        yield JobFilter("", {column: matches[kind]}, since="0", before="1")
    for (one, other), kinds in itertools.product(itertools.combinations(COLUMNS, 2), itertools.product(matches, repeat=2)):
        yield JobFilter("", {one: matches[kinds[0]], other: matches[kinds[1]]})


def asked(where: JobFilter, limit: int) -> list[Statement]:
    """The statements of a page, the page itself first."""
    steps = PageVersions(where, limit, 0).steps()
    found: list[Statement] = []
    with contextlib.suppress(StopIteration):
        step = next(steps)
        while True:
            assert isinstance(step, Statement)
            found.append(step)
            step = steps.send([{"id": "", "version": 1}] * limit if step.name == "page" else [{"n": 0}])
    return sorted(found, key=lambda step: step.name != "page")


def test_a_whole_read_would_be_found(database: sqlite3.Connection) -> None:
    for sql in ("SELECT * FROM jobs", "SELECT count(*) FROM jobs", "SELECT * FROM runs r WHERE r.provider_id = :p"):
        assert whole_reads(plan(database, sql)), sql


@pytest.mark.parametrize("name", WHOLE)
def test_a_named_statement_reads_no_whole_table(database: sqlite3.Connection, name: str) -> None:
    assert bool(whole_reads(plan(database, statements()[name]))) is (name in ON_PURPOSE)


@pytest.mark.parametrize("limit", [50, 0])
def test_no_page_and_no_total_reads_a_whole_table(database: sqlite3.Connection, limit: int) -> None:
    for where in filters():
        for statement in asked(where, limit):
            steps = plan(database, statement.sql or statements()[statement.name])
            assert whole_reads(steps) == [], (where, steps)


def grow(database: sqlite3.Connection, jobs: int) -> None:
    """Fill the table with jobs whose columns take few values, so that every filter matches a part of them."""
    database.execute("DELETE FROM jobs")
    database.execute(
        """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :jobs)
           INSERT INTO jobs (id, kind, tenant, owner, name, experiment_id, collection, model, state,
             created_at, updated_at, n_pending)
           SELECT printf('%08d', i), 'evaluation', '', char(97 + i % 3), char(97 + i % 5), char(97 + i % 4),
             char(97 + i % 4), char(97 + i % 3), iif(i % 2, 'pending', 'running'), i, i, 1 FROM n""",
        {"jobs": jobs},
    )
    database.execute("INSERT INTO job_tags (tenant, tag, job_id) SELECT '', char(97 + created_at % 3), id FROM jobs")


def cost(database: sqlite3.Connection, statement: Statement) -> int:
    """How many instructions SQLite's machine takes for a statement, in tens."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    database.set_progress_handler(count, 10)
    database.execute(statement.sql or statements()[statement.name], statement.parameters).fetchall()
    database.set_progress_handler(None, 0)
    return taken


def test_a_page_costs_what_it_shows_however_many_jobs_there_are(database: sqlite3.Connection) -> None:
    values = {"state": ("pending", "running")}
    pages = [JobFilter("")]
    for column in COLUMNS:
        one, other = values.get(column, ("a", "b"))
        pages += [JobFilter("", {column: Match(any_of=(one,))}), JobFilter("", {column: Match(any_of=(one, other))})]
        pages.append(JobFilter("", {column: Match(none_of=(one,))}))
        pages.append(JobFilter("", {column: Match(any_of=(one,))}, since="0", before="9"))
    costs = []
    for jobs in (1_000, 10_000):
        grow(database, jobs)
        costs.append([cost(database, asked(where, 50)[0]) for where in pages])
    for where, small, large in zip(pages, *costs, strict=True):
        assert large <= small + small // 4, (where, small, large)


@pytest.mark.parametrize(
    "name", [name for name in WHOLE if name not in ON_PURPOSE and statements()[name].startswith(("UPDATE", "DELETE"))]
)
def test_every_change_finds_its_rows_by_a_key(database: sqlite3.Connection, name: str) -> None:
    assert any(step.startswith("SEARCH") for step in plan(database, statements()[name]))


def test_deleting_a_job_finds_what_belongs_to_it_by_an_index(database: sqlite3.Connection) -> None:
    """A cascade looks up each child table by its foreign key; without an index that would read the whole child."""
    for (table,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        for key in database.execute(f"PRAGMA foreign_key_list({table})").fetchall():
            steps = plan(database, f"SELECT * FROM {table} WHERE {key['from']} = :value")
            assert whole_reads(steps) == [], (table, steps)
