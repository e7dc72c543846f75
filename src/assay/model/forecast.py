"""When a queued run can be expected to start: the scheduler's own rules, played forward over what runs usually take."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from assay.model.fairness import Held, Lane, Shares, Turns
from assay.model.quotas import Quotas

WAITS_FOR = ("turn", "slot", "quota", "retry", "worker")
"""What a queued run may wait for."""


class Waiting(NamedTuple):
    """A queued run, the one at `place` (from 0) of its job. `attempt` is the number of its next attempt.

    Times are microseconds since 1970.
    """

    run_id: str
    job_id: str
    place: int
    benchmark_id: str
    attempt: int
    priority: int
    queued_at: int
    available_at: int


class Busy(NamedTuple):
    """A slot in use: whose, and the seconds for which it is expected to be (infinite: nobody knows)."""

    lane: Lane
    left_s: float


class Place(NamedTuple):
    """A worker that takes runs: its slots, and what it has."""

    slots: int
    engines: frozenset[str]
    gpus: int
    labels: Mapping[str, str]


class Expected(NamedTuple):
    """A queued run with its place in line (None: nobody can take it), what it waits for, and when it should start."""

    run: Waiting
    lane: Lane
    position: int | None
    waits_for: str
    """One of `WAITS_FOR`."""
    quota: str
    """The quota that holds it back, such as `tenants.a.runs`."""
    starts_in_s: float | None


@dataclass(frozen=True)
class Queue:
    """What a forecast is made from, at the moment `now` (microseconds since 1970)."""

    lines: dict[Lane, list[Waiting]]
    busy: list[Busy]
    places: list[Place]
    passes: dict[str, float]
    quotas: Quotas
    now: int


def forecast(queue: Queue, took_s: Callable[[str, str], float], suits: Callable[[Place, Lane], bool]) -> Iterator[Expected]:
    """Yield the queued runs in the order in which they will be given a slot, then those that nobody can take.

    `took_s` says what a benchmark of a provider usually takes, in seconds (infinite: nobody knows), `suits` whether a worker
    has what a lane asks for.
    """
    servable = {lane: deque(line) for lane, line in queue.lines.items() if any(suits(one, lane) for one in queue.places)}
    shares, today = (Shares(queue.quotas, _held(queue.busy), queue.passes) for _ in range(2))
    free = now_free = sum(place.slots for place in queue.places) - len(queue.busy)
    turns = Turns(shares, [_led_by(lane, line[0]) for lane, line in servable.items()])
    lines = {lane.key: line for lane, line in servable.items()}
    ends = [(busy.left_s, n, busy.lane) for n, busy in enumerate(queue.busy)]
    heapq.heapify(ends)
    clock_s, position = 0.0, 0
    while turns:
        lane = turns.next() if free > 0 else None
        if lane is None:
            if not ends:
                break
            left_s, _, done = heapq.heappop(ends)
            clock_s = max(clock_s, left_s)
            shares.give_back(done)
            turns.look_again()
            free += 1
            continue
        line = lines[lane.key]
        run = line.popleft()
        position += 1
        quota = today.limit(lane)
        wait_s = max(clock_s, (run.available_at - queue.now) / 1e6)
        reason = _reason(run, quota, now_free, queue.now)
        yield Expected(run, lane, position, reason, quota, wait_s if wait_s < math.inf else None)
        shares.take(lane)
        free -= 1
        heapq.heappush(ends, (wait_s + took_s(lane.provider_id, run.benchmark_id), len(queue.busy) + position, lane))
        if line:
            turns.put(_led_by(lane, line[0]))
    for lane, waiting in queue.lines.items():
        for run in lines[lane.key] if lane in servable else waiting:
            quota = today.limit(lane) if lane in servable else ""
            yield Expected(run, lane, None, "quota" if quota else "worker", quota, None)


def _reason(run: Waiting, quota: str, free: int, now: int) -> str:
    if run.available_at > now:
        return "retry"
    if quota:
        return "quota"
    return "turn" if free > 0 else "slot"


def _held(busy: Iterable[Busy]) -> Iterator[Held]:
    for lane, _ in busy:
        yield Held(lane.tenant, lane.owner, lane.provider_id, 1, lane.gpus)


def _led_by(lane: Lane, run: Waiting) -> Lane:
    return lane._replace(priority=run.priority, run_id=run.run_id)
