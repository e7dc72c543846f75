"""The life of a run as a table, and the state of a job as a function of its runs."""

from __future__ import annotations

import itertools

import pytest

from assay.model.states import (
    HELD,
    OVERRULED,
    TERMINAL_JOBS,
    TERMINAL_RUNS,
    TERMINAL_STATUSES,
    TRANSITIONS,
    Cause,
    JobState,
    RunState,
    Status,
    Verdict,
    job_state,
    permitted,
    public_status,
)

STEPS = list(itertools.product(RunState, Cause, RunState))
VERDICTS = [None, *Verdict]


def reachable(start: RunState) -> set[RunState]:
    found = {start}
    while more := {to for state, _, to in TRANSITIONS if state in found} - found:
        found |= more
    return found


def test_every_state_can_be_reached_from_the_queue() -> None:
    assert reachable(RunState.QUEUED) == set(RunState)


@pytest.mark.parametrize("state", sorted(set(RunState) - TERMINAL_RUNS))
def test_from_every_open_state_every_end_can_be_reached(state: RunState) -> None:
    assert reachable(state) >= TERMINAL_RUNS


def test_no_ordinary_transition_leaves_a_terminal_state() -> None:
    assert not {step for step in TRANSITIONS if step[0] in TERMINAL_RUNS}


def test_every_cause_moves_something() -> None:
    assert {cause for _, cause, _ in TRANSITIONS} == set(Cause)


def test_a_run_is_started_only_by_the_worker_that_leased_it() -> None:
    assert {state for state, _, to in TRANSITIONS if to is RunState.RUNNING} == {RunState.LEASED}
    assert {state for state, _, to in TRANSITIONS if to is RunState.LEASED} == {RunState.QUEUED}


def test_only_a_run_that_somebody_holds_goes_back_to_the_queue_or_is_given_up() -> None:
    for cause in (Cause.LOSE, Cause.GIVE_UP, Cause.FINISH):
        assert {state for state, why, _ in TRANSITIONS if why is cause} == HELD


def test_cancelled_is_reached_only_by_cancelling() -> None:
    assert {cause for _, cause, to in TRANSITIONS if to is RunState.CANCELLED} == {Cause.CANCEL}


@pytest.mark.parametrize("verdict", VERDICTS)
def test_nothing_is_permitted_that_is_not_in_the_tables(verdict: Verdict | None) -> None:
    table = TRANSITIONS | OVERRULED if verdict is Verdict.WATCHDOG else TRANSITIONS
    assert {step for step in STEPS if permitted(*step, verdict)} == table


def test_a_report_overrules_only_what_the_watchdog_said() -> None:
    for end in (RunState.COMPLETED, RunState.FAILED):
        assert permitted(RunState.FAILED, Cause.REPORT, end, Verdict.WATCHDOG)
        for verdict in set(VERDICTS) - {Verdict.WATCHDOG}:
            assert not permitted(RunState.FAILED, Cause.REPORT, end, verdict)
    assert {(state, cause) for state, cause, _ in OVERRULED} == {(RunState.FAILED, Cause.REPORT)}


@pytest.mark.parametrize("reported", [True, False])
@pytest.mark.parametrize("state", RunState)
def test_users_see_a_run_as_pending_until_it_or_somebody_says_that_it_runs(state: RunState, reported: bool) -> None:
    status = public_status(state, reported)
    if state in TERMINAL_RUNS:
        assert status.value == state.value
    else:
        assert status is (Status.RUNNING if reported or state is RunState.RUNNING else Status.PENDING)
    assert (status in TERMINAL_STATUSES) is (state in TERMINAL_RUNS)


def contract(pending: int, running: int, completed: int, failed: int, cancelled: int) -> JobState:
    """The table of the EvalHub contract for a job's state, row by row; first match."""
    n = pending + running + completed + failed + cancelled
    rows = [
        (completed == n, JobState.COMPLETED),
        (failed == n, JobState.FAILED),
        (completed + failed == n, JobState.PARTIALLY_FAILED),
        (cancelled == n, JobState.CANCELLED),
        (completed + failed + cancelled == n, JobState.PARTIALLY_FAILED),
        (running + completed + failed + cancelled > 0, JobState.RUNNING),
        (True, JobState.PENDING),
    ]
    return next(state for holds, state in rows if holds)


COUNTS = [counts for counts in itertools.product(range(4), repeat=len(Status)) if sum(counts)]


def by_status(counts: tuple[int, ...]) -> dict[Status, int]:
    return dict(
        zip((Status.PENDING, Status.RUNNING, Status.COMPLETED, Status.FAILED, Status.CANCELLED), counts, strict=True)
    )


def test_a_jobs_state_follows_the_table_of_the_contract() -> None:
    for counts in COUNTS:
        assert job_state(by_status(counts)) is contract(*counts), counts


def test_a_job_that_was_cancelled_ends_cancelled_however_its_runs_ended() -> None:
    for counts in COUNTS:
        state, plain = job_state(by_status(counts), cancelled=True), contract(*counts)
        assert state is (JobState.CANCELLED if plain in TERMINAL_JOBS else plain), counts


def test_statuses_that_are_left_out_count_as_none() -> None:
    for counts in COUNTS:
        sparse = {status: n for status, n in by_status(counts).items() if n}
        assert job_state(sparse) is job_state(by_status(counts))


def test_a_job_is_terminal_exactly_when_all_of_its_runs_are() -> None:
    for counts in COUNTS:
        open_runs = counts[0] + counts[1]
        assert (job_state(by_status(counts)) in TERMINAL_JOBS) is (open_runs == 0), counts
