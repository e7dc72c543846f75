"""Several servers on one PostgreSQL database: what one writes the others see, and none gets in another's way for good."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator

import asyncpg
import pytest

from assay.model.errors import AssayError, JobIsTerminal, NotFound
from assay.model.ids import uuid7
from assay.model.records import NewJob
from assay.model.states import TERMINAL_JOBS, JobState, RunState, Status
from assay.store.base import QUEUE, job_topic, log_topic
from assay.store.history import EventsBetween, EventsOfJob, LastEvent
from assay.store.jobs import CreateJob
from assay.store.migrations import available
from assay.store.postgres import PostgresStore
from assay.store.postgres.address import Address
from assay.store.postgres.migrations import migrate
from assay.store.postgres.translate import arguments, translate
from assay.store.queries import JobCounts, JobVersion
from assay.store.queue import TakeRuns
from assay.store.statements import statements
from tests.postgres import Cluster

from .attempted import ATTEMPTED, they_go_on
from .life import LEASE, Gate, Life, new_job
from .tagged import TAGGED, kept, with_x_and_y


class _Random:
    """Identifiers of two lives must differ."""

    def __call__(self) -> str:
        return uuid7(1, os.urandom(10))


@pytest.fixture
async def servers(database: str) -> AsyncIterator[tuple[Life, Life]]:
    stores = [await PostgresStore.open(database) for _ in range(2)]
    lives = [Life(store) for store in stores]
    for life in lives:
        life.new_id = _Random()  # type: ignore[assignment]
    yield lives[0], lives[1]
    for store in stores:
        await store.close()


async def test_servers_that_start_together_make_the_schema_once(database: str) -> None:
    made = await asyncio.gather(*(migrate(Address.of(database)) for _ in range(6)))
    assert sorted(name for names in made for name in names) == [migration.name for migration in available("postgres")]


async def test_jobs_from_before_are_counted_and_found_by_several_tags(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await of_before(13, database, monkeypatch, TAGGED)
    store = await PostgresStore.open(database)
    assert await kept(store) == {"few": {",x,y,"}, "many": {""}, "one": {",x,"}}
    assert await with_x_and_y(store) == ["many", "few"]
    assert await store.scan(JobCounts()) == [("t", "pending", 3)]
    await store.close()


async def test_attempts_from_before_are_kept_and_what_goes_on_can_end(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await of_before(17, database, monkeypatch, ATTEMPTED.replace("BYTES", "BYTEA"))
    store = await PostgresStore.open(database)
    await they_go_on(store)
    await store.close()


async def of_before(number: int, database: str, monkeypatch: pytest.MonkeyPatch, contents: str) -> None:
    """Make a database as it was before a migration, with what some SQL puts into it."""
    every = available("postgres")
    with monkeypatch.context() as patched:
        patched.setattr(
            "assay.store.postgres.migrations.outstanding",
            lambda _, applied, __: [one for one in every if one.number not in applied and one.number < number],
        )
        await migrate(Address.of(database))
    connection = await asyncpg.connect(database)
    await connection.execute(contents)
    await connection.close()


async def test_no_text_of_ours_is_compared_by_the_rules_of_a_language(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("CREATE TABLE of_others (text TEXT)")
    await migrate(Address.of(database))
    found = await connection.fetch(
        """SELECT table_name, column_name, collation_name FROM information_schema.columns
        WHERE table_schema = current_schema() AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"""
    )
    await connection.close()
    assert {row["table_name"] for row in found} == {"schema_migrations", "of_others"}


async def test_what_one_server_writes_the_other_sees_and_is_told(servers: tuple[Life, Life]) -> None:
    here, there = servers
    await heard(here, there)
    queued = there.store.signals.ticket([QUEUE])
    job = await here.submit()
    assert await queued.wait(30)
    assert await there.store.lookup(JobVersion(job.id)) == ("", 1, "pending")
    told = here.store.signals.ticket([job_topic(job.id)])
    await there.cancel(job)
    assert await told.wait(30)
    assert (await here.job(job)).state is JobState.CANCELLED


async def heard(here: Life, there: Life) -> None:
    """Wait until each server hears the other."""
    for one, other in ((here, there), (there, here)):
        job = await one.submit()
        while True:
            ticket = other.store.signals.ticket([job_topic(job.id)])
            await one.report(job, Status.RUNNING)
            if await ticket.wait(0.2):
                break


async def test_a_group_with_more_topics_than_one_message_holds_is_announced_whole(servers: tuple[Life, Life]) -> None:
    here, there = servers
    await heard(here, there)
    jobs = [new_job(here.new_id) for _ in range(400)]
    await here.store.transact([CreateJob(job, here.now) for job in jobs])
    tickets = [there.store.signals.ticket([job_topic(job.id)]) for job in jobs]
    await asyncio.gather(*(here.cancel(job) for job in jobs))
    assert all([await ticket.wait(30) for ticket in tickets])


async def test_whoever_waits_is_woken_when_the_listener_is_back(servers: tuple[Life, Life], postgres: Cluster) -> None:
    here, there = servers
    await heard(here, there)
    ticket = there.store.signals.ticket(["whatever"])
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    assert await ticket.wait(30)
    await heard(here, there)


async def test_the_same_idempotency_key_at_two_servers_makes_one_job(servers: tuple[Life, Life]) -> None:
    for attempt in range(20):
        key = f"key {attempt}"
        made = [CreateJob(new_job(life.new_id, key=key), life.now) for life in servers for _ in range(4)]
        found = await asyncio.gather(*(servers[i // 4].store.apply(one) for i, one in enumerate(made)))
        assert len({job.id for job, _ in found}) == 1
    assert len(await servers[0].ask("SELECT id FROM jobs")) == 20


async def test_two_servers_lease_each_run_once(servers: tuple[Life, Life]) -> None:
    here, there = servers
    await here.register("a")
    await there.register("b")
    jobs = [await here.submit(5) for _ in range(8)]
    leases = []
    while any(found := await asyncio.gather(here.take(3, "a"), there.take(3, "b"))):
        leases += [lease for taken in found for lease in taken]
    assert sorted(lease.run_id for lease in leases) == sorted(run.id for job in jobs for run in job.runs)


async def test_a_server_that_gives_one_run_keeps_no_other_from_those_behind_it(servers: tuple[Life, Life]) -> None:
    here, there = servers
    await here.register("a")
    await there.register("b")
    jobs = [await here.submit(), await here.submit()]
    gate, taking = Gate(), TakeRuns("a", "1", 1, here.now, LEASE)
    first = asyncio.create_task(here.store.transact([taking, gate]))
    await gate.entered.wait()
    other = await there.take(1, "b")
    gate.opened.set()
    taken, _ = await first
    assert not isinstance(taken, AssayError)
    assert sorted(lease.run_id for lease in (*taken.leases, *other)) == sorted(job.runs[0].id for job in jobs)


async def test_two_recovery_loops_take_a_lost_run_back_once(servers: tuple[Life, Life]) -> None:
    here, there = servers
    await here.register()
    jobs = [await here.submit(3, max_attempts=2) for _ in range(10)]
    assert len(await here.take(30)) == 30
    for life in servers:
        life.later(LEASE + 1)
    taken = await asyncio.gather(*(life.lapse_leases() for _ in range(5) for life in servers))
    assert sum(taken) == 30
    for job in jobs:
        assert [run.state for run in await there.runs(job)] == [RunState.QUEUED] * 3
        assert [event.type for event in await there.events(job)].count("run.queued") == 3
    await here.check_counters()


async def test_a_job_that_has_just_completed_is_not_cancelled_by_another_server(servers: tuple[Life, Life]) -> None:
    here, there = servers
    ends = set()
    for _ in range(60):
        job = await here.submit()
        done, cancelled = await asyncio.gather(here.report(job, Status.COMPLETED), there.cancel(job), return_exceptions=True)
        assert done is None or isinstance(done, JobIsTerminal)
        state = (await here.job(job)).state
        assert state is (JobState.COMPLETED if isinstance(cancelled, JobIsTerminal) else JobState.CANCELLED)
        types = [event.type for event in await here.events(job)]
        assert len([kind for kind in types if kind in ("job.completed", "job.cancelled")]) == 1
        ends.add(state)
    assert ends <= {JobState.COMPLETED, JobState.CANCELLED}


async def test_a_job_is_deleted_while_another_server_reports_on_it(servers: tuple[Life, Life]) -> None:
    here, there = servers
    for _ in range(30):
        job = await here.submit(3)
        answers = await asyncio.gather(
            *(here.report(job, Status.COMPLETED, index) for index in range(3)), there.delete(job), return_exceptions=True
        )
        assert all(answer is None or isinstance(answer, list | NotFound) for answer in answers), answers
        assert await here.store.lookup(JobVersion(job.id)) is None
    assert await here.ask("SELECT id FROM runs") == []


async def test_a_reader_that_follows_the_events_misses_none(servers: tuple[Life, Life]) -> None:
    """Numbers are given before the commit, so a later event could be seen before an earlier one of the same job."""
    here, there = servers
    job = await here.submit(40)
    seen: list[int] = []

    async def follow() -> None:
        while (await there.job(job)).state not in TERMINAL_JOBS:
            await look()
        await look()

    async def look() -> None:
        events = await there.store.lookup(EventsOfJob(job.id, seen[-1] if seen else 0, 1000))
        seen.extend(event.seq for event in events)

    following = asyncio.create_task(follow())
    await asyncio.gather(*(servers[index % 2].report(job, Status.COMPLETED, index) for index in range(40)))
    await following
    assert seen == [event.seq for event in await here.store.lookup(EventsOfJob(job.id, 0, 1000))]


async def test_two_servers_that_want_the_same_rows_in_any_order_both_get_them(servers: tuple[Life, Life]) -> None:
    chance = random.Random(11)
    jobs = [await servers[0].submit(4) for _ in range(12)]
    reports = [(job, index) for job in jobs for index in range(4)]

    async def report(life: Life, ordered: list[tuple[NewJob, int]]) -> list[AssayError | None]:
        calls = (life.report(job, Status.COMPLETED, index) for job, index in ordered)
        return await asyncio.gather(*calls, return_exceptions=True)  # type: ignore[return-value]

    answers = await asyncio.gather(*(report(life, chance.sample(reports, len(reports))) for life in servers))
    for answer in (one for both in answers for one in both):
        assert answer is None or isinstance(answer, JobIsTerminal), answer
    for job in jobs:
        assert (await servers[1].job(job)).state is JobState.COMPLETED
    await servers[1].check_counters()


async def test_an_operation_too_large_for_an_index_fails_alone(servers: tuple[Life, Life]) -> None:
    here, _ = servers
    chance = random.Random(3)
    tag = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=9_000))
    large, small = new_job(here.new_id, tags=[tag]), new_job(here.new_id)
    refused, made = await here.store.transact([CreateJob(large, here.now), CreateJob(small, here.now)])
    assert isinstance(refused, AssayError)
    assert "CreateJob could not be written" in refused.message
    assert not isinstance(made, AssayError)
    assert (await here.job(small)).id == small.id


async def test_servers_say_who_they_are(servers: tuple[Life, Life], postgres: Cluster, database: str) -> None:
    name = database.rpartition("/")[2]
    found = postgres.sql(f"SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = '{name}'")
    assert found == "assay"


async def test_a_database_of_a_newer_version_is_left_as_it_is(database: str) -> None:
    await migrate(Address.of(database))
    connection = await asyncpg.connect(database)
    await connection.execute("INSERT INTO schema_migrations VALUES (9999, 'later.sql', 'x', 1)")
    await connection.close()
    with pytest.raises(AssayError, match=r"a newer version of Assay wrote it.*") as refused:
        await PostgresStore.open(database)
    assert "canary" not in refused.value.message


async def test_what_is_no_change_of_the_database_is_told_to_the_other_server_too(servers: tuple[Life, Life]) -> None:
    here, there = servers
    await heard(here, there)
    for line in range(3):  # the first at once, the others when a moment is over
        told, own = (life.store.signals.ticket([log_topic("j")]) for life in (there, here))
        here.store.announce([log_topic("j")])
        assert own.waiter.done()
        assert await told.wait(30), line


async def test_however_much_is_announced_messages_are_few(servers: tuple[Life, Life], database: str) -> None:
    here, there = servers
    await heard(here, there)
    messages: list[object] = []
    listening = await asyncpg.connect(database)
    await listening.add_listener("assay", lambda *said: messages.append(said[-1]))
    topics = [log_topic(f"job-{number}") for number in range(50)]
    last = there.store.signals.ticket(topics[-1:])
    for topic in topics * 20:
        here.store.announce([topic])
        await asyncio.sleep(0)
    assert await last.wait(30)
    while here.store._announcements._teller is not None:  # type: ignore[attr-defined]
        await asyncio.sleep(0.01)
    await listening.close()
    assert 0 < len(messages) < 50
    assert {topic for message in messages for topic in json.loads(str(message))[1:]} == set(topics)


async def test_an_event_waits_for_those_with_lower_numbers_that_another_server_has_yet_to_commit(
    servers: tuple[Life, Life], database: str
) -> None:
    here, there = servers
    first, second = await here.submit(), await there.submit()
    settled = await there.store.horizon()
    assert settled == await here.store.horizon() == await there.store.lookup(LastEvent()) == 2
    # Another server has taken a number and has not committed it.
    late = await asyncpg.connect(database)
    transaction = late.transaction()
    await transaction.start()
    insert = statements("postgres")["insert_event"]
    sql, names = translate(insert)
    event = {"job_id": first.id, "run_id": "", "at": 1, "type": "late", "data": b"{}"}
    await late.execute(sql, *arguments(names, event))
    await there.cancel(second)
    assert await there.store.lookup(LastEvent()) == 5
    assert await there.store.horizon() == await here.store.horizon() == settled
    await transaction.commit()
    await late.close()
    assert await there.store.horizon() == await here.store.horizon() == 5
    told = await there.store.lookup(EventsBetween(settled, 5))
    assert [event.type for _, event in told] == ["late", "run.cancelled", "job.cancelled"]


async def test_a_number_that_was_taken_in_vain_holds_nothing_up(servers: tuple[Life, Life], database: str) -> None:
    here, _ = servers
    await here.submit()
    vain = await asyncpg.connect(database)
    await vain.execute("SELECT nextval('events_seq_seq')")
    await vain.close()
    job = await here.submit()
    horizon = await here.store.horizon()
    assert horizon == await here.store.lookup(LastEvent()) == (await here.events(job))[-1].seq
