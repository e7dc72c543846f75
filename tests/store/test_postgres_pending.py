"""On PostgreSQL statements that give no rows wait and are sent several at once, as if each were sent in its turn."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import asyncpg
import pytest

from assay.model.errors import AssayError, NotFound
from assay.model.protocol import Ending, Grant, Lease
from assay.model.states import RunState
from assay.scheduler.handover import HandOver
from assay.store.base import QUEUE, Row, Statement, Steps, change_each, job_topic, run, run_many
from assay.store.history import EventsOfJob, event, record
from assay.store.postgres import PostgresStore
from assay.store.postgres.address import Address
from assay.store.postgres.pending import BEHIND, Part, combined, uses
from assay.store.postgres.several import MOST, form
from assay.store.postgres.translate import translate
from assay.store.queue import TakeRuns
from assay.store.runs import EndRun
from assay.store.statements import statements

from .life import DELAY, GRACE, LEASE, Ask, Life
from .test_postgres_arrays import Carried, written

SENT = ("execute", "executemany", "fetch", "fetchmany", "fetchrow", "fetchval")
FRAGMENT = re.compile("page$|look_|only_")
"""Names of what is only a part of a statement."""

LONGEST = 15 * 1024
"""Bytes of a statement that asyncpg keeps prepared."""


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Any]:
    """A connection to a database whose schema is up to date."""
    await (await PostgresStore.open(database)).close()
    opened = await asyncpg.connect(Address.of(database).url)
    yield opened
    await opened.close()


@pytest.fixture
async def life(database: str) -> AsyncIterator[Life]:
    store = await PostgresStore.open(database)
    yield Life(store)
    await store.close()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is sent to PostgreSQL from now on; each is one way there and back."""
    every: list[str] = []

    def noting(original: Callable[..., Any]) -> Callable[..., Any]:
        async def note(self: Any, query: str, *more: Any, **options: Any) -> Any:
            if query != "SELECT 1":  # whoever listens asks now and then whether the connection still stands
                every.append(" ".join(query.split()))
            return await original(self, query, *more, **options)

        return note

    for name in SENT:
        monkeypatch.setattr(asyncpg.Connection, name, noting(getattr(asyncpg.Connection, name)))
    return every


class Refused:
    """Writes and is refused then."""

    def __init__(self, *every: Statement) -> None:
        self._every = every

    def steps(self) -> Steps[None]:
        for one in self._every:
            _ = yield one
        raise NotFound(kind="evaluation job", id="unknown")


class Looking:
    """Carries statements out and returns the rows of the last one."""

    def __init__(self, *every: Statement) -> None:
        self._every = every

    def steps(self) -> Steps[list[Row]]:
        rows: list[Row] = []
        for one in self._every:
            rows = yield one
        return rows


class Told:
    """Records events, and carries statements out between them."""

    def __init__(self, *every: Statement | Sequence[dict[str, Any]]) -> None:
        self._every = every

    def steps(self) -> Steps[None]:
        for one in self._every:
            if isinstance(one, Statement):
                _ = yield one
            else:
                yield from record(list(one))


def named(name: str) -> str:
    return translate(statements("postgres")[name])[0]


def put_result(run_id: str, result: bytes) -> Statement:
    return run_many("put_result", [{"run_id": run_id, "result": result}])


def ending(life: Life, lease: Grant | Lease) -> EndRun:
    told = Ending(fence=lease.fence, outcome="completed", metrics={"acc": 0.5})
    return EndRun(lease.run_id, told, life.now, life.at, GRACE, DELAY)


def handing_over(life: Life, lease: Grant | Lease) -> HandOver:
    return HandOver(ending(life, lease), take=TakeRuns("w", "1", 1, life.now, LEASE))


async def locked(connection: Any, sql: str) -> dict[str, set[str]]:
    """Return what PostgreSQL locks for a statement, once it has read it: names of tables and views, and how."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.prepare(sql)
    rows = await connection.fetch(
        "SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = pg_backend_pid() "
        "AND c.relkind IN ('r', 'v', 'S') AND c.relnamespace = current_schema()::regnamespace"
    )
    await transaction.rollback()
    modes: dict[str, set[str]] = {}
    for row in rows:
        modes.setdefault(row["relname"], set()).add(row["mode"])
    return modes


async def test_of_every_statement_it_is_known_what_it_uses_and_changes(connection: Any) -> None:
    known = {
        row["relname"] for row in await connection.fetch("SELECT relname FROM pg_class WHERE relkind IN ('r', 'v', 'S')")
    }
    for name in (name for name in statements("postgres") if not FRAGMENT.match(name)):
        sql = named(name)
        found, modes = uses(sql), await locked(connection, sql)
        changed = {table for table, how in modes.items() if "RowExclusiveLock" in how}
        behind = {other for table in modes for other in BEHIND.get(table, ())}
        assert (name, found.named & known) == (name, frozenset(modes.keys() | behind))
        assert (name, found.reads) == (name, not changed and name != "skip_events")
        if sql.startswith(("INSERT", "UPDATE")):
            assert (name, found.written) == (name, frozenset(changed).union(*(BEHIND.get(table, ()) for table in changed)))
        else:
            assert not found.written, name


async def test_what_is_behind_tables_and_views_is_what_the_schema_has(connection: Any) -> None:
    behind: dict[str, set[str]] = {}
    for row in await connection.fetch(
        "SELECT t.tgrelid::regclass::text AS name, p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
        "WHERE NOT t.tgisinternal"
    ):
        behind.setdefault(row["name"], set()).update(
            re.findall(r"(?:INSERT INTO|DELETE FROM|UPDATE) (\w+)(?! =)", row["prosrc"])
        )
    for row in await connection.fetch(
        "SELECT view_name AS name, table_name AS other FROM information_schema.view_table_usage "
        "WHERE view_schema = current_schema() UNION ALL "
        "SELECT d.refobjid::regclass::text, d.objid::regclass::text FROM pg_depend d JOIN pg_class s ON s.oid = d.objid "
        "WHERE s.relkind = 'S' AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')"
    ):
        behind.setdefault(row["name"], set()).add(row["other"])
    for tables in behind.values():
        tables.discard("SET")  # of ON CONFLICT DO UPDATE SET
    assert behind == BEHIND


async def test_no_change_of_a_key_changes_other_tables(connection: Any) -> None:
    actions = await connection.fetch("SELECT confupdtype FROM pg_constraint WHERE contype = 'f'")
    assert {row["confupdtype"] for row in actions} == {b"a"}


@pytest.mark.parametrize(
    ("one", "other", "bars"),
    [
        ("update_run", "insert_attempt", False),
        ("update_run", "put_result", False),
        ("update_run", "workers_to_change", False),
        ("update_run", "update_run", True),
        ("update_run", "take_run", True),
        ("update_run", "lanes", True),
        ("update_job", "insert_event", True),
        ("update_job", "count_jobs_in", True),
        ("insert_event", "take_run", False),
        ("insert_event", "touch_job", True),
        ("insert_event", "last_event", True),
        ("insert_job_spec", "insert_plan", False),
        ("put_result", "runs_to_change", True),
    ],
)
def test_two_statements_keep_their_order_where_one_writes_what_the_other_uses(one: str, other: str, bars: bool) -> None:
    assert uses(named(one)).bars(uses(named(other))) is bars
    assert uses(named(other)).bars(uses(named(one))) is bars


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT 1 FROM runs r, jobs AS j, events WHERE r.job_id = j.id", {"runs", "jobs", "events"}),
        (
            "SELECT (SELECT count(*) FROM results)\n-- FROM plans\nFROM ONLY runs LEFT JOIN jobs j ON true",
            {"results", "runs", "jobs"},
        ),
        ("SELECT 1 FROM runs JOIN jobs USING (id) CROSS JOIN events", {"runs", "jobs", "events"}),
        ("insert into plans select 1 from runs on conflict do nothing", {"plans", "runs"}),
        ("DELETE FROM runs USING jobs j WHERE true", {"runs", "jobs"}),
    ],
)
def test_tables_are_found_wherever_they_stand(sql: str, tables: set[str]) -> None:
    assert uses(sql).named >= tables
    assert "plans" in tables or "plans" not in uses(sql).named


def test_what_is_sent_as_one_is_short_enough_to_be_kept_prepared() -> None:
    parts = []
    for name in sorted(written()):
        sql, names = translate(statements("postgres")[name])
        if found := form(sql):
            parts.append(Part(found.of(["text"] * len(names)), len(names), counted=True))
    assert 1000 < len(combined(tuple(parts))) < LONGEST


async def test_a_run_that_is_handed_over_takes_nine_ways_there_and_back(life: Life, sent: list[str]) -> None:
    await life.register()
    for _ in range(4):
        await life.submit()
    (first,) = await life.take()
    lease: Grant | Lease = first
    for _ in range(2):
        sent.clear()
        (lease,) = (await life.store.apply(handing_over(life, lease))).leases
    assert sent[0] == "BEGIN;"
    assert sent[-1] == "COMMIT;"
    assert len(sent) <= 9, "\n".join(sent)


async def test_many_ends_take_as_many_as_one(life: Life, sent: list[str]) -> None:
    await life.register()
    await life.submit(100)
    leases = await life.take(100)
    sent.clear()
    assert await life.store.transact([ending(life, lease) for lease in leases]) == [None] * 100
    assert len(sent) <= 6, "\n".join(sent)


async def test_a_statement_that_waits_alone_is_sent_as_it_is(life: Life, sent: list[str]) -> None:
    job = await life.submit()
    (one,) = await life.runs(job)
    sent.clear()
    await life.store.apply(Carried(put_result(one.id, b"x")))
    assert sent == ["BEGIN;", " ".join(named("put_result").split()), "COMMIT;"]


async def test_events_keep_their_order_whatever_is_written_between_them(life: Life) -> None:
    job = await life.submit(2)
    one, two = await life.runs(job)
    touched = run_many("touch_job", [{"id": job.id, "now": life.now}])
    between = [put_result(one.id, b"1"), touched, put_result(two.id, b"2"), put_result(one.id, b"3"), touched]
    events = [[event(job.id, "", life.now, f"test.{number}.{n}", {}) for n in range(2)] for number in range(6)]
    await life.store.apply(Told(events[0], *[each for pair in zip(between, events[1:], strict=True) for each in pair]))
    history = await life.store.lookup(EventsOfJob(job.id))
    assert [each.type for each in history][1:] == [f"test.{number}.{n}" for number in range(6) for n in range(2)]
    assert [each.result for each in await life.runs(job)] == [b"3", b"2"]


async def test_more_events_than_one_statement_takes_keep_their_order(life: Life, sent: list[str]) -> None:
    job = await life.submit()
    names = [f"test.{number}" for number in range(MOST + 200)]
    events = [event(job.id, "", life.now, name, {}) for name in names]
    sent.clear()
    await life.store.apply(Told(events[:600], events[600:900], events[900:]))
    assert sum("INSERT INTO events" in text for text in sent) == 2
    history = await life.store.lookup(EventsOfJob(job.id, limit=MOST * 2))
    assert [each.type for each in history][1:] == names


@pytest.mark.parametrize("several", [1, 3])
@pytest.mark.parametrize("wrong", [0, -1])
async def test_a_row_that_is_not_as_it_was_read_undoes_all_that_was_sent_with_it(
    life: Life, several: int, wrong: int
) -> None:
    await life.register()
    job = await life.submit(several)
    runs = await life.runs(job)
    rows: list[dict[str, Any]] = [
        {"id": one.id, "from": RunState.QUEUED, "fence": one.fence, "now": 1, "worker": "w", "expires": life.now + LEASE}
        for one in runs
    ]
    rows[wrong]["fence"] += 1
    results = run_many("put_result", [{"run_id": one.id, "result": b"x"} for one in runs])
    with pytest.raises(AssayError, match="Carried failed"):
        await life.store.apply(Carried(results, change_each("take_run", rows)))
    assert {(one.state, one.result) for one in await life.runs(job)} == {(RunState.QUEUED, b"")}
    rows[wrong]["fence"] -= 1
    await life.store.apply(Carried(results, change_each("take_run", rows)))
    assert {(one.state, one.result) for one in await life.runs(job)} == {(RunState.LEASED, b"x")}


async def test_a_refusal_undoes_what_waited_and_what_was_sent(life: Life, sent: list[str]) -> None:
    job = await life.submit(2)
    one, two = await life.runs(job)
    look = run("run", id=one.id)
    with pytest.raises(NotFound):
        await life.store.apply(Refused(put_result(one.id, b"sent"), look, put_result(two.id, b"waits")))
    assert [each.result for each in await life.runs(job)] == [b"", b""]
    sent.clear()
    with pytest.raises(NotFound):
        await life.store.apply(Refused(put_result(one.id, b"waits")))
    assert len(sent) == 2, sent  # begun and undone


async def test_an_operation_that_is_refused_takes_nothing_from_the_others_of_its_group(life: Life) -> None:
    job = await life.submit(3)
    one, two, three = await life.runs(job)
    answers = await life.store.transact(
        [Carried(put_result(one.id, b"1")), Refused(put_result(two.id, b"2")), Carried(put_result(three.id, b"3"))]
    )
    assert [type(answer) for answer in answers] == [type(None), NotFound, type(None)]
    assert [each.result for each in await life.runs(job)] == [b"1", b"", b"3"]


async def test_who_reads_what_waits_finds_it(life: Life) -> None:
    job = await life.submit()
    (one,) = await life.runs(job)
    (row,) = await life.store.apply(Looking(put_result(one.id, b"x"), run("run", id=one.id)))
    assert row["result"] == b"x"


async def test_who_reads_something_else_goes_ahead(life: Life, sent: list[str]) -> None:
    job = await life.submit()
    (one,) = await life.runs(job)
    sent.clear()
    await life.store.apply(Looking(put_result(one.id, b"x"), run("job_version", id=job.id)))
    assert [text.split()[0] for text in sent] == ["BEGIN;", "SELECT", "INSERT", "COMMIT;"]


async def test_what_is_deleted_is_what_was_written_before(life: Life) -> None:
    job = await life.submit()
    (one,) = await life.runs(job)
    drop = run_many("drop_result", [{"run_id": one.id}])
    await life.store.apply(Carried(put_result(one.id, b"x"), drop))
    assert [each.result for each in await life.runs(job)] == [b""]
    await life.store.apply(Carried(drop, put_result(one.id, b"y")))
    assert [each.result for each in await life.runs(job)] == [b"y"]


async def test_what_goes_with_a_job_is_written_before_the_job_is_deleted(life: Life) -> None:
    job = await life.submit()
    (one,) = await life.runs(job)
    await life.store.apply(Carried(put_result(one.id, b"x"), run("delete_job", id=job.id)))
    assert await life.store.lookup(Ask("SELECT * FROM results")) == []


async def test_of_several_results_of_one_run_the_last_counts(life: Life) -> None:
    job = await life.submit()
    (one,) = await life.runs(job)
    await life.store.apply(Carried(*[put_result(one.id, b) for b in (b"first", b"second", b"last")]))
    assert [each.result for each in await life.runs(job)] == [b"last"]


async def test_other_servers_are_told_with_the_last_that_is_written(life: Life, connection: Any, sent: list[str]) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    await connection.add_listener("assay", lambda _connection, _pid, _channel, message: heard.put_nowait(message))
    sent.clear()
    job = await life.submit()
    assert "pg_notify" in sent[-2]
    assert "INSERT INTO events" in sent[-2]
    assert set(json.loads(await asyncio.wait_for(heard.get(), 30))[1:]) >= {QUEUE, job_topic(job.id)}


async def test_jobs_are_counted_when_their_rows_are_changed_with_others(life: Life) -> None:
    await life.register()
    jobs = [await life.submit() for _ in range(3)]
    for lease in await life.take(3):
        await life.start(lease)
        await life.store.apply(ending(life, lease))
    rows = await life.store.lookup(Ask("SELECT state, n FROM job_counts WHERE n <> 0"))
    assert rows == [{"state": "completed", "n": len(jobs)}]
