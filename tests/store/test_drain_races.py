"""A drain and what a worker asks for at the same moment, at two servers: whichever is first, the drain is not lost.

The order is forced: the operation of one server is held up in its middle, under its transaction, until the other server's
is done or waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from assay.model.protocol import Registration
from assay.model.states import WorkerState
from assay.store.base import Operation, Statement, Steps
from assay.store.leases import DirectWorker, RegisterWorker
from assay.store.postgres import PostgresStore
from assay.store.queries import Workers
from assay.store.queue import TakeRuns

from .life import LEASE, Life

_GATE = 4711
_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@dataclass(frozen=True)
class HeldUp:
    """An operation that waits at the gate behind its first statement."""

    operation: Operation[Any]

    def steps(self) -> Steps[Any]:
        inner = self.operation.steps()
        rows = yield next(inner)
        yield Statement("gate", {}, f"SELECT pg_advisory_xact_lock({_GATE})")
        try:
            while True:
                rows = yield inner.send(rows)
        except StopIteration as stop:
            return stop.value


class Race:
    """Two servers on one database, and a gate that is shut."""

    def __init__(self, here: Life, there: Life, gate: asyncpg.Connection[Any]) -> None:
        self.here, self.there, self._gate = here, there, gate

    async def waiting(self, transactions: int) -> bool:
        return bool(await self._gate.fetchval(_WAITING) >= transactions)

    async def against_a_drain(self, operation: Operation[Any]) -> tuple[Any, bool]:
        """Drain the worker while an operation is under way; return what came of that, and whether the drain was first."""
        held_up = asyncio.create_task(self.here.store.apply(HeldUp(operation)))
        while not await self.waiting(1):
            await asyncio.sleep(0.01)
        drain = asyncio.create_task(self.there.store.apply(DirectWorker("w", WorkerState.DRAINING)))
        while not (drain.done() or await self.waiting(2)):
            await asyncio.sleep(0.01)
        first = drain.done()
        await self._gate.execute(f"SELECT pg_advisory_unlock({_GATE})")
        await drain
        return await held_up, first

    async def state(self) -> WorkerState:
        (worker,) = await self.here.store.lookup(Workers())
        return worker.state


@asynccontextmanager
async def _shut(database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(database)
    await connection.execute(f"SELECT pg_advisory_lock({_GATE})")
    yield connection
    await connection.close()


@pytest.fixture
async def race(database: str) -> AsyncIterator[Race]:
    stores = [await PostgresStore.open(database) for _ in range(2)]
    async with _shut(database) as gate:
        yield Race(Life(stores[0]), Life(stores[1]), gate)
    for store in stores:
        await store.close()


@pytest.mark.parametrize("incarnation", ["1", "2"], ids=["the same process", "another process"])
async def test_a_worker_that_registers_while_it_is_drained_drains(race: Race, incarnation: str) -> None:
    await race.here.register()
    again = Registration(name="w", incarnation=incarnation, slots=4, engines={"adapter": "1"})
    await race.against_a_drain(RegisterWorker(again, race.here.now))
    assert await race.state() is WorkerState.DRAINING


async def test_nothing_is_leased_once_a_drain_has_been_answered(race: Race) -> None:
    await race.here.submit()
    await race.here.register()
    taken, drained_first = await race.against_a_drain(TakeRuns("w", "1", 1, race.here.now, LEASE))
    assert not (drained_first and taken.leases)
    assert await race.state() is WorkerState.DRAINING
