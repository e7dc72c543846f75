"""The replay accepts what the model allows, and nothing else."""

from __future__ import annotations

from typing import Any

from assay.model.records import Event
from assay.model.states import RunState, Verdict

from .replay import replay

_Told = tuple[str, dict[str, Any]]


def _history(*events: _Told) -> list[Event]:
    made = [Event(seq=1, job_id="j", run_id="", at=0, type="job.created", data={"runs": 1})]
    for number, (kind, data) in enumerate(events, 2):
        run_id = "r" if kind.startswith("run.") else ""
        made.append(Event(seq=number, job_id="j", run_id=run_id, at=0, type=kind, data=data))
    return made


_LEASED: _Told = ("run.leased", {"attempt": 1, "worker": "w"})
_RUNNING: _Told = ("run.running", {"cause": "start"})
_ORDINARY: tuple[_Told, ...] = (
    _LEASED,
    _RUNNING,
    ("job.running", {}),
    ("run.completed", {"cause": "finish"}),
    ("job.completed", {}),
)


def test_an_ordinary_life_is_accepted() -> None:
    runs, wrong = replay(["r"], _history(*_ORDINARY))
    assert wrong == []
    assert (runs["r"].state, runs["r"].verdict, runs["r"].leases) == (RunState.COMPLETED, Verdict.ENGINE, 1)


def test_a_lost_attempt_and_a_late_report_are_accepted() -> None:
    lost: _Told = ("run.queued", {"cause": "lose", "code": "lease_lost"})
    again: _Told = ("run.leased", {"attempt": 2, "worker": "v"})
    given_up: tuple[_Told, ...] = (
        ("run.exited", {"exit_code": 1}),
        ("run.failed", {"cause": "give_up"}),
        ("job.failed", {}),
    )
    late: tuple[_Told, ...] = (("run.completed", {"cause": "report"}), ("job.completed", {}))
    runs, wrong = replay(["r"], _history(_LEASED, _RUNNING, lost, again, *given_up, *late))
    assert wrong == []
    assert runs["r"].ends == [Verdict.WATCHDOG, Verdict.ADAPTER]


def test_a_second_result_is_refused() -> None:
    _, wrong = replay(["r"], _history(*_ORDINARY, ("run.completed", {"cause": "finish"})))
    assert "completed (engine) to completed" in wrong[0]


def test_an_engine_s_word_after_the_watchdog_s_is_refused() -> None:
    given_up: tuple[_Told, ...] = (_LEASED, ("run.failed", {"cause": "give_up"}), ("job.failed", {}))
    _, wrong = replay(["r"], _history(*given_up, ("run.completed", {"cause": "finish"}), ("job.completed", {})))
    assert "failed (watchdog) to completed" in wrong[0]


def test_a_skipped_attempt_is_refused() -> None:
    _, wrong = replay(["r"], _history(("run.leased", {"attempt": 2, "worker": "w"})))
    assert wrong == ["event 2: attempt 2 is lease 1"]


def test_a_missing_event_is_refused() -> None:
    without_lease = [event for event in _history(*_ORDINARY) if event.type != "run.leased"]
    assert replay(["r"], without_lease)[1]


def test_a_job_that_ends_before_its_runs_is_refused() -> None:
    _, wrong = replay(["r"], _history(_LEASED, ("job.completed", {})))
    assert "said to be completed while its runs make it pending" in wrong[0]


def test_a_job_that_does_not_end_with_its_runs_is_refused() -> None:
    _, wrong = replay(["r"], _history(*_ORDINARY[:-1]))
    assert wrong == ["the job is said to be running while its runs make it completed"]


def test_events_out_of_order_are_refused() -> None:
    events = _history(*_ORDINARY)
    assert replay(["r"], [*events[:-2], events[-1], events[-2]])[1]
