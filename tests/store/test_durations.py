"""What runs usually take, as the store knows it, and as a server knows it that has seen some of them end itself."""

from __future__ import annotations

import math

import pytest

from assay.model.states import Status
from assay.scheduler.durations import Durations
from assay.store.changes import RunMoved
from assay.store.queries import RecentDurations

from .life import LEASE, SECOND, Life


class Past:
    """A life in which runs took so long."""

    def __init__(self, life: Life) -> None:
        self.life = life

    async def run(self, seconds: float, outcome: str = "completed", *, start: bool = True, lose: int = 0) -> None:
        """A run that ends after so many seconds; before that it is lost so often."""
        await self.life.submit(max_attempts=lose + 1)
        for _ in range(lose):
            await self.life.take()
            self.life.later(LEASE)
            await self.life.lapse_leases()
        (lease,) = await self.life.take()
        self.life.later(SECOND)
        if start:
            await self.life.start(lease)
        self.life.later(round(seconds * SECOND))
        await self.life.end(lease, outcome)

    async def known(self, most: int = 100) -> list[tuple[str, str, float]]:
        return await self.life.store.scan(RecentDurations(most))


@pytest.fixture
async def past(life: Life) -> Past:
    await life.register()
    return Past(life)


def told(durations: Durations, took_s: float, provider: str = "p", benchmark: str = "b0") -> None:
    durations.told([RunMoved("", provider, benchmark, Status.COMPLETED, took_s)])


async def test_the_store_knows_what_completed_runs_took_the_last_one_last(past: Past) -> None:
    await past.run(5, lose=1)
    await past.run(3)
    await past.run(7, "failed")
    await past.run(7, start=False)
    assert await past.known() == [("p", "b0", 5.0), ("p", "b0", 3.0)]


async def test_the_store_looks_at_no_more_attempts_than_it_is_asked_about(past: Past) -> None:
    for seconds in (1, 2, 3):
        await past.run(seconds)
    assert await past.known(2) == [("p", "b0", 2.0), ("p", "b0", 3.0)]
    await past.run(9, "failed")
    assert await past.known(2) == [("p", "b0", 3.0)]


async def test_a_server_that_has_just_started_knows_what_the_store_does(past: Past) -> None:
    for seconds in (10, 20, 30):
        await past.run(seconds)
    durations = Durations()
    assert durations.usual("p", "b0") == math.inf
    await durations.learn(past.life.store)
    for asked in (("p", "b0"), ("p", "another"), ("another", "b0")):
        assert durations.usual(*asked) == pytest.approx(10 + 0.3 * 10 + 0.3 * (30 - 13))


async def test_what_a_server_has_seen_counts_more_and_goes_on_from_what_the_store_knew(past: Past) -> None:
    await past.run(10)
    durations = Durations()
    told(durations, 50, "q")
    await durations.learn(past.life.store)
    assert (durations.usual("p", "b0"), durations.usual("q", "b0")) == (10, 50)
    told(durations, 20)
    assert durations.usual("p", "b0") == pytest.approx(13)


async def test_the_store_is_asked_once_where_nobody_else_writes_to_it_and_now_and_then_elsewhere(
    past: Past, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    durations, store = Durations(), past.life.store
    await durations.learn(store)
    await past.run(10)
    await durations.learn(store)
    assert durations.usual("p", "b0") == math.inf
    monkeypatch.setattr("assay.scheduler.durations.LOOK_S", 0.0)
    durations = Durations()
    await durations.learn(store)
    await past.run(20)
    await durations.learn(store)
    assert durations.usual("p", "b0") == pytest.approx(10 if dialect == "sqlite" else 13)
