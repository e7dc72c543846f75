"""States of runs and jobs, and the transitions between them, as data.

A *run* has a life-cycle state (`RunState`) that the scheduler works with, and a public `Status` that users see: a run that
waits for a slot or has just been leased is *pending* to them. A *job* has no state of its own making: `job_state` derives it
from how many of its runs have which status, and from whether the job as a whole was cancelled.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final


class RunState(enum.StrEnum):
    """Where a run is in its life. The last three are terminal."""

    QUEUED = "queued"
    LEASED = "leased"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Status(enum.StrEnum):
    """What a user sees of a run. The last three are terminal."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobState(enum.StrEnum):
    """What a user sees of a job. The last four are terminal."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PARTIALLY_FAILED = "partially_failed"


class WorkerState(enum.StrEnum):
    """What a worker may do. Whatever it may, what it holds goes on."""

    ACTIVE = "active"
    PAUSED = "paused"
    """It takes no runs until it is resumed, also after a restart."""
    DRAINING = "draining"
    """It takes no runs, and its process ends when it holds none. That stands until a process has done so."""
    DRAINED = "drained"
    """It was draining, and its process has ended as told; the next process of its name is active."""


class Cause(enum.StrEnum):
    """Why a run changes state."""

    LEASE = "lease"
    """A worker takes the run."""
    START = "start"
    """The worker has started the run's process."""
    FINISH = "finish"
    """The engine's own outcome, brought by the worker that holds the lease."""
    REPORT = "report"
    """The adapter's own terminal report, brought by an event."""
    LOSE = "lose"
    """The worker or its lease is gone, or a temporary error asks for another attempt."""
    GIVE_UP = "give_up"
    """The watchdog's verdict: nobody reported, or no attempt is left."""
    CANCEL = "cancel"
    """A user cancels the job or the run."""


class Verdict(enum.StrEnum):
    """Who said how a run ended."""

    ENGINE = "engine"
    ADAPTER = "adapter"
    WATCHDOG = "watchdog"
    USER = "user"


TERMINAL_RUNS: Final = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED})
TERMINAL_STATUSES: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
TERMINAL_JOBS: Final = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.PARTIALLY_FAILED})
HELD: Final = frozenset({RunState.LEASED, RunState.RUNNING})
"""States in which a worker works on the run."""

_OPEN: Final = (RunState.QUEUED, RunState.LEASED, RunState.RUNNING)
_ENDS: Final = (RunState.COMPLETED, RunState.FAILED)

TRANSITIONS: Final[frozenset[tuple[RunState, Cause, RunState]]] = frozenset(
    [
        (RunState.QUEUED, Cause.LEASE, RunState.LEASED),
        (RunState.LEASED, Cause.START, RunState.RUNNING),
        *((held, Cause.FINISH, end) for held in (RunState.LEASED, RunState.RUNNING) for end in _ENDS),
        # A report is believed whoever holds the run: adapters may be driven by hand, or outlive their lease.
        *((open_, Cause.REPORT, end) for open_ in _OPEN for end in _ENDS),
        *((held, Cause.LOSE, RunState.QUEUED) for held in (RunState.LEASED, RunState.RUNNING)),
        *((held, Cause.GIVE_UP, RunState.FAILED) for held in (RunState.LEASED, RunState.RUNNING)),
        *((open_, Cause.CANCEL, RunState.CANCELLED) for open_ in _OPEN),
    ]
)
"""Every permitted (state, cause, next state)."""

OVERRULED: Final[frozenset[tuple[RunState, Cause, RunState]]] = frozenset(
    (RunState.FAILED, Cause.REPORT, end) for end in _ENDS
)
"""Permitted only while the failure is the watchdog's own: an adapter's late report knows better."""


def permitted(state: RunState, cause: Cause, to: RunState, verdict: Verdict | None = None) -> bool:
    """Say whether a run in `state`, whose end (if any) was said by `verdict`, may go `to` that state for `cause`."""
    step = (state, cause, to)
    return step in TRANSITIONS or (verdict is Verdict.WATCHDOG and step in OVERRULED)


_ENDED: Final = {state: Status(state.value) for state in TERMINAL_RUNS}


def public_status(state: RunState, reported_running: bool = False) -> Status:
    """Return what users see of a run in `state`; an adapter driven by hand may have reported that it runs."""
    ended = _ENDED.get(state)
    if ended:
        return ended
    return Status.RUNNING if state is RunState.RUNNING or reported_running else Status.PENDING


def job_state(counts: Mapping[Status, int], cancelled: bool = False) -> JobState:
    """Return the state of a job from the number of its runs in each status (at least one run in all).

    `cancelled` says that a user cancelled the job while it was open. First matching rule, as in the EvalHub contract.
    """
    total = sum(counts.values())
    completed, failed = counts.get(Status.COMPLETED, 0), counts.get(Status.FAILED, 0)
    stopped = counts.get(Status.CANCELLED, 0)
    ended = completed + failed + stopped
    if ended == total:
        if cancelled or stopped == total:
            return JobState.CANCELLED
        if completed == total:
            return JobState.COMPLETED
        return JobState.FAILED if failed == total else JobState.PARTIALLY_FAILED
    if ended or counts.get(Status.RUNNING, 0):
        return JobState.RUNNING
    return JobState.PENDING
