"""Replays a job's history with the rules of the model alone, and says where it could not have happened so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from assay.model.records import Event
from assay.model.states import (
    TERMINAL_JOBS,
    TERMINAL_RUNS,
    Cause,
    JobState,
    RunState,
    Verdict,
    job_state,
    permitted,
    public_status,
)

_SAID_BY = {
    Cause.FINISH: Verdict.ENGINE,
    Cause.REPORT: Verdict.ADAPTER,
    Cause.GIVE_UP: Verdict.WATCHDOG,
    Cause.CANCEL: Verdict.USER,
}


@dataclass
class Replayed:
    """A run as its history has it."""

    state: RunState = RunState.QUEUED
    verdict: Verdict | None = None
    leases: int = 0
    ends: list[Verdict] = field(default_factory=list)
    """Whose word ended it, each time."""


def replay(run_ids: Sequence[str], events: Iterable[Event]) -> tuple[dict[str, Replayed], list[str]]:
    """Return the runs of a job after its whole history, and everything in it that breaks a rule.

    Whether an adapter has reported that its run works is not in the history, so a job whose runs all wait may be either
    pending or running.
    """
    runs = {run_id: Replayed() for run_id in run_ids}
    job, cancelled, wrong = JobState.PENDING, False, []
    kinds: list[str] = []
    before = 0
    for event in events:
        kinds.append(event.type)
        if event.seq <= before:
            wrong.append(f"event {event.seq} comes after event {before}")
        before = event.seq
        subject, _, what = event.type.partition(".")
        if subject == "run":
            one = runs.get(event.run_id)
            if one is None:
                wrong.append(f"event {event.seq} is about a run that the job has not")
            else:
                wrong += [f"event {event.seq}: {text}" for text in _step(one, what, event)]
        elif what in set(JobState):
            job = JobState(what)
            cancelled |= job is JobState.CANCELLED
            wrong += [f"event {event.seq}: {text}" for text in _job(job, runs.values(), cancelled)]
    if kinds[:1] != ["job.created"] or kinds.count("job.created") != 1:
        wrong.append("the history does not begin with the job's creation, or has it twice")
    wrong += _job(job, runs.values(), cancelled)
    return runs, wrong


def _step(one: Replayed, what: str, event: Event) -> Iterator[str]:
    """Take a run one event further; yield what is wrong with that."""
    if what in ("pending", "running") and event.data["cause"] == Cause.REPORT:
        return  # what users are shown; the run stays in the state that it is in
    if what == "exited":
        if one.state not in (RunState.LEASED, RunState.RUNNING):
            yield f"a process ended of a run that was {one.state}"
        one.state = RunState.RUNNING
        return
    to = RunState(what)
    if to is RunState.LEASED:
        cause = Cause.LEASE
        one.leases += 1
        if event.data["attempt"] != one.leases:
            yield f"attempt {event.data['attempt']} is lease {one.leases}"
    else:
        cause = Cause(event.data["cause"])
    if not permitted(one.state, cause, to, one.verdict):
        yield f"a run went from {one.state} ({one.verdict or 'open'}) to {to} because of {cause}"
    one.state, one.verdict = to, _SAID_BY.get(cause) if to in TERMINAL_RUNS else None
    if one.verdict:
        one.ends.append(one.verdict)


def _job(said: JobState, runs: Iterable[Replayed], cancelled: bool) -> Iterator[str]:
    """Yield what is wrong with what is said of a job, given its runs."""
    derived = job_state(Counter(public_status(one.state) for one in runs), cancelled)
    if said is not derived and (said in TERMINAL_JOBS or derived in TERMINAL_JOBS):
        yield f"the job is said to be {said} while its runs make it {derived}"
