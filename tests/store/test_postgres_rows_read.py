"""What a run costs PostgreSQL does not grow with those before it, though it has counted few rows or none yet."""

from __future__ import annotations

import asyncpg
import pytest

from assay.model.protocol import Ending
from assay.model.states import Status
from assay.store.postgres import PostgresStore
from assay.store.postgres.address import Address
from assay.store.runs import EndRun

from .life import GRACE, Life, holding

RUNS, TOGETHER = 400, 20
MOST = 200
"""Rows and entries of indexes that may be read for a run, from its submission to its end; it takes about 75."""


@pytest.mark.parametrize("counted", [None, 20, 100], ids=["never", "after 20 runs", "after 100"])
async def test_no_statement_reads_what_other_runs_have_left(counted: int | None, database: str) -> None:
    store = await PostgresStore.open(database)
    life = Life(store)
    await life.register()
    before = await rows_read(database)
    for number in range(RUNS):
        if number == counted:
            await count(database)
        job = await life.submit()
        (lease,) = await life.take()
        await life.start(lease)
        await life.beat(holding(lease, 1, 2))
        await life.report(job, Status.COMPLETED)
        await life.end(lease)
    await store.close()  # what its connections have counted is told when they end
    assert (await rows_read(database) - before) / RUNS < MOST


async def test_nor_does_one_that_is_carried_out_for_many_runs(database: str) -> None:
    store = await PostgresStore.open(database)
    life = Life(store)
    await life.register()
    before = await rows_read(database)
    for _ in range(RUNS // TOGETHER):
        await life.submit(TOGETHER)
        leases = await life.take(TOGETHER)
        ending = [Ending(fence=lease.fence, outcome="completed", metrics={"acc": 1.0}) for lease in leases]
        ends = [EndRun(lease.run_id, one, life.now, life.at, GRACE) for lease, one in zip(leases, ending, strict=True)]
        assert await store.transact(ends) == [None] * TOGETHER
    await store.close()
    assert (await rows_read(database) - before) / RUNS < MOST


async def count(database: str) -> None:
    """Have PostgreSQL count rows, as it does of itself once a minute."""
    connection = await asyncpg.connect(Address.of(database).url)
    await connection.execute("ANALYZE")
    await connection.close()


async def rows_read(database: str) -> int:
    connection = await asyncpg.connect(Address.of(database).url)
    try:
        return int(
            await connection.fetchval(
                "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables) "
                "+ (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)"
            )
        )
    finally:
        await connection.close()
