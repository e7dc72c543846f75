"""Recovery and the clock: whatever somebody does to it, a lost run is taken back in its time and no sooner."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from assay.model.states import RunState
from assay.scheduler import identifiers, recovery
from assay.scheduler.shared_clock import measure
from tests.store.conftest import anyio_backend, dialect, empty_store, life, store
from tests.store.life import SECOND, Life

__all__ = ["anyio_backend", "dialect", "empty_store", "life", "store"]

_HOURS = 3 * 3600 * SECOND
_LEASE_S = 0.4


class _Clock:
    """A clock that goes, and that a test puts forward and back."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.time_ns() // 1000 + self.ahead


@pytest.fixture
def clock(life: Life, monkeypatch: pytest.MonkeyPatch) -> _Clock:
    made = _Clock()
    monkeypatch.setattr(recovery, "now", made)
    return made


@contextlib.asynccontextmanager
async def _watched(life: Life) -> AsyncIterator[None]:
    task = asyncio.create_task(recovery.watch(life.store, _LEASE_S, _LEASE_S, period_s=0.01))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_lost_run_is_taken_back_although_the_clock_was_put_back(life: Life, clock: _Clock) -> None:
    clock.ahead = _HOURS
    life.now = clock()
    job = await life.submit()
    await life.register()
    async with _watched(life):
        await life.take()
        await asyncio.sleep(0.05)
        clock.ahead = 0
        async with asyncio.timeout(20):
            while (await life.run(job)).state is not RunState.QUEUED:
                await asyncio.sleep(0.01)


async def test_a_clock_put_back_while_the_server_was_down_is_noticed_at_its_start(life: Life, clock: _Clock) -> None:
    life.now = clock() + _HOURS
    job = await life.submit()
    async with _watched(life), asyncio.timeout(20):
        while (await life.run(job)).available_at > clock() + _HOURS // 2:
            await asyncio.sleep(0.01)


async def test_servers_with_clocks_hours_apart_agree_on_the_time(
    life: Life, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: right() + _HOURS * 1000)
    try:
        await measure(life.store)
        apart = abs(identifiers.now() - right() // 1000)
        # A server with SQLite has no other that it could disagree with.
        assert apart > _HOURS - 60 * SECOND if dialect == "sqlite" else apart < 60 * SECOND
    finally:
        identifiers.share(None)
