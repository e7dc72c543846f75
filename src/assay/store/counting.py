"""Keeps what jobs say of their runs: counters, derived state, score, the time of the last change.

Whoever changes runs first takes hold of their jobs, in an order that all share, then writes, then recounts: each job once,
however many of its runs have changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from assay.model.plan import Context
from assay.model.records import Run
from assay.model.results import BenchmarkTest, Result
from assay.model.scores import Criteria, job_test
from assay.model.states import TERMINAL_JOBS, JobState, Status, job_state
from assay.store import notices
from assay.store.base import News, Signal, Steps, ask_each, change_each, job_topic, run, run_many
from assay.store.changes import JobMoved, RunMoved
from assay.store.exports import schedule
from assay.store.history import event, record
from assay.store.rows import encode, listed, named

_context = msgspec.json.Decoder(Context)
_result = msgspec.json.Decoder(Result)
_STATES: Final = {state.value: state for state in JobState}
_COLUMNS: Final = {status: f"n_{status.value}" for status in Status}


class Judged(NamedTuple):
    """What a run was to be judged by, and its test, if it was."""

    criteria: Criteria
    test: BenchmarkTest | None


class Moved(NamedTuple):
    """A run as it was, its public status from `now` on, and the seconds that it took, if it ended of itself.

    `judged`: None where nobody has its criteria in hand.
    """

    before: Run
    status: Status
    now: int
    seconds: float | None = None
    judged: Judged | None = None

    @property
    def counts(self) -> bool:
        """Whether the run counts elsewhere now."""
        return self.status is not self.before.status


class Tally(NamedTuple):
    """What a job says of its runs from now on."""

    row: Mapping[str, Any]
    """The job as it was."""
    now: int
    moved: list[Moved]
    counts: dict[Status, int]
    state: JobState
    cancelled: bool

    @property
    def before(self) -> JobState:
        return _STATES[self.row["state"]]

    @property
    def changes(self) -> bool:
        """Whether the job goes to another state."""
        return self.state is not self.before

    @property
    def is_judged(self) -> bool:
        """Whether its score is to be computed: it has just been completed."""
        return self.state is JobState.COMPLETED and self.changes


def hold(moved: Sequence[Moved], cancelled: Collection[str] = ()) -> Steps[dict[str, Mapping[str, Any]]]:
    """Return the jobs whose counters change, by id, kept from others for this transaction."""
    ids = sorted({one.before.job_id for one in moved if one.counts}.union(cancelled))
    if not ids:
        return {}
    jobs = map(named, (yield run("jobs_to_change", ids=listed(ids))))
    return {job["id"]: job for job in jobs}


def recount(
    held: Mapping[str, Mapping[str, Any]],
    moved: Sequence[Moved],
    events: Sequence[dict[str, Any]],
    cancelled: Collection[str] = (),
) -> Steps[None]:
    """Bring jobs that are held, or whose runs changed otherwise, up to date; tell who counts and who asked to be told.

    `events` are those of the runs; they are recorded before those of the jobs. `cancelled` are jobs that their user has
    cancelled as a whole.
    """
    of_job: dict[str, list[Moved]] = {}
    for one in moved:
        of_job.setdefault(one.before.job_id, []).append(one)
    if touched := [{"id": id_, "now": max(one.now for one in of_job[id_])} for id_ in sorted(of_job.keys() - held.keys())]:
        yield run_many("touch_job", touched)
    tallies = [_tally(held[id_], of_job[id_], id_ in cancelled) for id_ in held]
    tests = yield from _tests([job for job in tallies if job.is_judged])
    changes = []
    for job in tallies:
        test = tests.get(job.row["id"], job.row["test"] if job.state is JobState.COMPLETED and not job.changes else b"")
        exports = job.row["exports"]
        if exports and job.state in TERMINAL_JOBS:
            exports = yield from schedule(job.row["id"], exports, job.now)
        changes.append(_row(job, test, exports))
    for statement, moves in (("update_job", True), ("recount_job", False)):
        if rows := [change for job, change in zip(tallies, changes, strict=True) if job.changes is moves]:
            yield change_each(statement, rows)
    ours = [event(job.row["id"], "", job.now, f"job.{job.state}", {}) for job in tallies if job.changes]
    yield from record([*events, *ours])
    news: list[News] = [Signal(job_topic(job_id)) for job_id in of_job]
    for job, change in zip(tallies, changes, strict=True):
        news += _changes(job)
        if job.row["watched"]:
            yield from _notify(job, change["test"])
    yield news


def _tally(row: Mapping[str, Any], moved: list[Moved], cancel: bool) -> Tally:
    counts = {status: row[column] for status, column in _COLUMNS.items()}
    for one in moved:
        counts[one.before.status] -= 1
        counts[one.status] += 1
    cancelled = cancel or bool(row["cancelled"])
    return Tally(row, max(one.now for one in moved), moved, counts, job_state(counts, cancelled), cancelled)


def _row(one: Tally, test: bytes, exports: bytes) -> dict[str, Any]:
    """Return the parameters of `update_job` and `recount_job`."""
    numbers = {column: one.counts[status] for status, column in _COLUMNS.items()}
    row: dict[str, Any] = {"id": one.row["id"], "state": one.state, "cancelled": int(one.cancelled), "now": one.now}
    return row | {"test": test, "exports": exports} | numbers


def _tests(completed: Sequence[Tally]) -> Steps[dict[str, bytes]]:
    """Return the JSON of the weighted tests of completed jobs, by id; empty where no benchmark was judged."""
    judged = {one.row["id"]: _in_hand(one) for one in completed}
    asked = {job_id: list[tuple[int, Criteria, BenchmarkTest]]() for job_id, runs in judged.items() if runs is None}
    if asked:
        for row in (yield ask_each("judged_runs", [{"job_id": job_id} for job_id in asked])):
            test = _result.decode(row["result"]).test
            if test is not None:
                asked[row["job_id"]].append((row["idx"], _context.decode(row["context"]).criteria, test))
    tests = {}
    for one in completed:
        job_id = one.row["id"]
        verdict = job_test(asked.get(job_id) or judged[job_id] or (), one.row["threshold"])
        tests[job_id] = encode(verdict) if verdict else b""
    return tests


def _in_hand(one: Tally) -> list[tuple[int, Criteria, BenchmarkTest]] | None:
    """Return the benchmarks of a job that were judged, if all its runs have just been; else None."""
    if len(one.moved) < sum(one.counts.values()):
        return None
    found = []
    for moved in sorted(one.moved, key=lambda moved: moved.before.index):
        if moved.judged is None:
            return None
        if moved.judged.test:
            found.append((moved.before.index, moved.judged.criteria, moved.judged.test))
    return found


def _changes(one: Tally) -> list[News]:
    """Return what became of a job and its runs, for those who count it."""
    row, tenant = one.row, one.row["tenant"]
    changes: list[News] = [
        RunMoved(tenant, each.before.provider_id, each.before.benchmark_id, each.status, each.seconds)
        for each in one.moved
        if each.counts
    ]
    if one.changes:
        age_s = (one.now - row["created_at"]) / 1_000_000
        changes.append(JobMoved(tenant, row["first_provider"], row["collection"], one.before, one.state, age_s))
    return changes


def _notify(one: Tally, test: bytes) -> Steps[None]:
    """Put the notices of what became of a job and its runs into the outbox."""
    row, version = one.row, one.row["version"] + 1
    news = notices.of_runs(row, ((each.before, each.status) for each in one.moved if each.counts), one.now, version)
    if one.changes:
        news.append(notices.of_state(row, one.state, one.now, version, test))
    yield from notices.tell(row["id"], row["tenant"], news, one.now)


def told_anew(job_id: str, now: int) -> Steps[None]:
    """Export the card of a job again: nothing that counts has changed, but a benchmark has more to say."""
    (row,) = yield run("jobs_to_change", ids=listed([job_id]))
    if row["exports"] and row["state"] in TERMINAL_JOBS:
        yield run("set_job_exports", id=job_id, exports=(yield from schedule(job_id, row["exports"], now)))
