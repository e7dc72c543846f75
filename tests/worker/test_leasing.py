"""Slots are kept busy, with few calls, and never more runs are begun than there are slots and GPUs for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from assay.client.workers import Refused, ServerGone
from assay.model.states import WorkerState
from assay.worker import beginning

from .fake_server import FakeEngine, FakeServer, lease, leasing, until


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_long_queue_is_carried_out_without_a_call_for_each_run(tmp_path: Path) -> None:
    server, engine = FakeServer(*map(lease, range(60))), FakeEngine()
    async with leasing(server, engine, tmp_path, slots=3):
        await until(server, 60)
    assert (engine.most, server.most_held) == (3, 3)
    assert sum(ending.ask is not None for ending in server.ended.values()) > 50
    # The first call, one that waits while all slots are busy, and what it takes to see that the queue is empty.
    assert len(server.leases) <= 6
    assert server.given_up <= 3


async def test_what_comes_later_is_begun_at_once_on_every_slot(tmp_path: Path) -> None:
    server, engine = FakeServer(lease(0)), FakeEngine()
    async with leasing(server, engine, tmp_path, slots=3):
        await until(server, 1)
        engine.hold.clear()
        server.queue += map(lease, range(1, 6))
        server.more.set()
        async with asyncio.timeout(10):
            while len(engine.running) < 3:
                await asyncio.sleep(0.001)
        engine.hold.set()
        await until(server, 6)
    assert engine.most == 3


async def test_no_gpu_is_given_twice_and_none_is_forgotten(tmp_path: Path) -> None:
    wishes = [number % 3 for number in range(40)]
    server = FakeServer(*(lease(number, gpus) for number, gpus in enumerate(wishes)))
    engine = FakeEngine(0.002)
    async with leasing(server, engine, tmp_path, slots=4, gpus=2) as (_, slots, _task):
        await until(server, 40)
        async with asyncio.timeout(5):
            while slots.attempts:
                await asyncio.sleep(0.001)
        server.queue += [lease(40, 2)]
        server.more.set()
        await until(server, 41)
    assert engine.most <= 4


async def test_a_gpu_that_becomes_free_is_asked_for_although_a_call_waits(tmp_path: Path) -> None:
    server, engine = FakeServer(lease(0, 1)), FakeEngine()
    engine.hold.clear()
    async with leasing(server, engine, tmp_path, gpus=1) as (_, slots, _task):
        async with asyncio.timeout(10):
            while len(server.leases) < 2:  # it waits for runs without a GPU now
                await asyncio.sleep(0.001)
        assert [asked.gpus for asked in server.leases] == [1, 0]
        engine.hold.set()
        async with asyncio.timeout(10):
            while slots.attempts or len(server.leases) < 3:
                await asyncio.sleep(0.001)
        server.queue += [lease(1, 1)]
        server.more.set()
        await until(server, 2)


async def test_a_worker_that_drains_asks_for_nothing_and_is_done_with_its_last_run(tmp_path: Path) -> None:
    server, engine = FakeServer(*map(lease, range(6))), FakeEngine()
    engine.hold.clear()
    async with leasing(server, engine, tmp_path) as (asking, _, task):
        async with asyncio.timeout(10):
            while len(engine.running) < 2:
                await asyncio.sleep(0.001)
        asking.direct(WorkerState.DRAINING)
        engine.hold.set()
        async with asyncio.timeout(10):
            assert await task
    assert len(server.ended) == 2
    assert all(ending.ask is None for ending in server.ended.values())


async def test_a_worker_that_ends_gives_back_what_it_has_and_asks_for_nothing(tmp_path: Path) -> None:
    server, engine = FakeServer(*map(lease, range(6))), FakeEngine()
    engine.hold.clear()
    async with leasing(server, engine, tmp_path) as (_, slots, _task):
        async with asyncio.timeout(10):
            while len(engine.running) < 2:
                await asyncio.sleep(0.001)
        await slots.end_all(5, drop=False, close=True)
        assert slots.attempts == []
    assert [(ending.outcome, ending.ask) for ending in server.ended.values()] == [("released", None)] * 2


async def test_an_end_that_does_not_get_through_is_told_again_and_one_that_is_stale_is_not(tmp_path: Path) -> None:
    server, engine = FakeServer(lease(0)), FakeEngine()
    server.refusals = [ServerGone("away"), ServerGone("away")]
    async with leasing(server, engine, tmp_path, slots=1):
        await until(server, 1)
        server.refusals = [Refused(409, "stale_fence", "stale")]
        server.queue += [lease(1), lease(2)]
        server.more.set()
        await until(server, 2)
    assert set(server.ended) == {"run-0", "run-2"}
    assert server.most_held == 2  # as the server has it: the one that was stale here was not this worker's any more


async def test_a_start_is_told_with_the_end_unless_the_run_takes_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, engine = FakeServer(lease(0)), FakeEngine()
    async with leasing(server, engine, tmp_path):
        await until(server, 1)
        assert server.started == []
        told_ms = server.ended["run-0"].started_ms
        assert told_ms is not None
        assert 0 <= told_ms < 5000
        monkeypatch.setattr(beginning, "_SOON_S", 0.0)
        engine.hold.clear()
        server.queue.append(lease(1))
        server.more.set()
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.001)
        engine.hold.set()
        await until(server, 2)
    assert (server.started, server.ended["run-1"].started_ms) == (["run-1"], None)
