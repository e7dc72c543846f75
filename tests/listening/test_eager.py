"""Staying awake for a client that sends one request after another: when it begins, and that it always ends."""

from __future__ import annotations

import asyncio

import pytest

from assay.listening import eager
from assay.listening.eager import MOMENT_S, Habit, Wakeful

OFTEN, RESTING = 8, 256


class Clock:
    """What `perf_counter` says; only the test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counted(Wakeful):
    """Counts how often it is asked to stay awake, and sleeps all the same."""

    def __init__(self) -> None:
        self.asked = 0

    def stay(self) -> None:
        self.asked += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(eager, "perf_counter", clock)
    return clock


def requests(habit: Habit, clock: Clock, count: int, after: float) -> None:
    """So many requests are answered, the next of which always comes `after` seconds."""
    for _ in range(count):
        habit.answered()
        clock.now += after
        habit.goes_on()


def test_a_client_that_goes_on_at_once_is_waited_for_awake(clock: Clock) -> None:
    wakeful = Counted()
    habit = Habit(wakeful)
    requests(habit, clock, OFTEN, MOMENT_S / 2)
    assert wakeful.asked == 0
    requests(habit, clock, 100, MOMENT_S / 2)
    assert wakeful.asked == 100


def test_nobody_stays_awake_for_a_client_that_takes_its_time(clock: Clock) -> None:
    wakeful = Counted()
    requests(Habit(wakeful), clock, 1000, 0.01)
    assert wakeful.asked == 0


def test_a_client_that_stops_is_waited_for_in_vain_once(clock: Clock) -> None:
    wakeful = Counted()
    habit = Habit(wakeful)
    requests(habit, clock, OFTEN, MOMENT_S / 2)
    requests(habit, clock, 1, 2 * MOMENT_S)
    assert wakeful.asked == 1
    requests(habit, clock, RESTING + OFTEN, MOMENT_S / 2)
    assert wakeful.asked == 1
    requests(habit, clock, 1, MOMENT_S / 2)
    assert wakeful.asked == 2


async def test_the_loop_sleeps_again_after_the_moment(clock: Clock) -> None:
    loop, looks = asyncio.get_running_loop(), 0

    class Watched(Wakeful):
        def _look(self) -> None:
            nonlocal looks
            looks += 1
            super()._look()

    wakeful = Watched(loop)
    wakeful.stay()
    wakeful.stay()  # goes on with the same
    for _ in range(10):
        await asyncio.sleep(0)
    assert 9 <= looks <= 11
    clock.now += MOMENT_S
    for _ in range(3):
        await asyncio.sleep(0)
    seen = looks
    for _ in range(10):
        await asyncio.sleep(0)
    assert looks == seen
