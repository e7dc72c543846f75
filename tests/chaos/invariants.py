"""What must be true afterwards, whatever happened. Each check yields sentences about what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from assay.model.records import Attempt, Event, Job, Run
from assay.model.states import TERMINAL_JOBS, TERMINAL_RUNS, JobState, RunState, Verdict
from assay.store.base import Store
from assay.store.history import EventsOfJob
from assay.store.queries import AttemptsOfRun, JobWithRuns
from assay.store.rows import report_of, result_of
from tests.store.life import Ask, Life

from .journal import Journal, Promise
from .plan import LEASE_S
from .replay import replay

Numbers = Mapping[tuple[str, str], Mapping[str, Any]]
"""The metrics of each benchmark, by provider and id, as they are without faults."""

_ANY_PART = frozenset({"server", "worker", "database", "store link", "redis"})
EXPLAINED: Mapping[str, frozenset[str]] = {
    "worker_lost": _ANY_PART,
    "lease_lost": _ANY_PART,
    "released": _ANY_PART,
    "worker_error": _ANY_PART,
    "engine_died": frozenset({"engine", "host", "guard", "worker"}),
    "engine_error": frozenset({"worker full disk", "worker file size"}),
    "process_exited": _ANY_PART | {"engine", "guard"},
}
"""Why a run may have failed: the code, and what must have been befallen for it, in general or by what."""

_OUTCOMES = {"completed", "failed", "exited", "released", "lost"}


@dataclass(frozen=True)
class Seen:
    """All that the store has about one job."""

    job: Job
    runs: list[Run]
    attempts: dict[str, list[Attempt]]
    events: list[Event]

    @property
    def story(self) -> str:
        """The whole history, for whoever has to understand what went wrong."""
        lines = [f"job {self.job.id} '{self.job.name}' is {self.job.state}"]
        for run in self.runs:
            said = report_of(run).error_message
            lines.append(f"  run {run.index} {run.id} {run.provider_id}/{run.benchmark_id}: {run.state} by {run.verdict}")
            lines += [f"    said: {said.message_code}: {said.message}"] if said else []
            lines += [f"    {attempt}" for attempt in self.attempts[run.id]]
        lines += [f"  {one.seq} {one.at} {one.type} {one.run_id} {one.data}" for one in self.events]
        return "\n".join(lines)


async def look(store: Store) -> list[Seen]:
    """Return everything that a store has about its jobs, oldest first."""
    found = []
    for row in await store.scan(Ask("SELECT id FROM jobs ORDER BY id")):
        known = await store.lookup(JobWithRuns(row["id"]))
        assert known is not None
        job, runs = known
        attempts = {run.id: await store.lookup(AttemptsOfRun(run.id)) for run in runs}
        found.append(Seen(job, runs, attempts, await store.lookup(EventsOfJob(job.id, limit=100_000))))
    return found


async def counters(store: Store) -> Iterator[str]:
    """The counters are what counting gives, and the database is whole."""
    wrong = []
    try:
        await Life(store).check_counters()
    except AssertionError as error:
        wrong.append(f"a counter is wrong: {error}")
    return iter(wrong)


def kept(seen: Sequence[Seen], journal: Journal, submitted: Counter[str]) -> Iterator[str]:
    """Every acknowledged job is there, once, unless its deletion was asked for; there is no other."""
    there = {one.job.id: one.job for one in seen}
    for promise in journal.promises.values():
        if promise.id not in there and not promise.deleting:
            yield f"the acknowledged job {promise.id} is not there"
        if promise.id in there and promise.deleted:
            yield f"the deleted job {promise.id} is there"
    for job in there.values():
        if job.id not in journal.promises and not submitted[job.name]:
            yield f"nobody asked for job {job.id} '{job.name}'"
    keyed = Counter(job.name for job in there.values() if not job.name.startswith("again "))
    yield from (f"'{name}' was submitted once and made {n} jobs" for name, n in keyed.items() if n > 1)


def ended(seen: Seen) -> Iterator[str]:
    """The job and its runs have ended, hold nothing, and each attempt says how it ended."""
    if seen.job.state not in TERMINAL_JOBS:
        yield f"the job is {seen.job.state}"
    for run in seen.runs:
        if run.state not in TERMINAL_RUNS:
            yield f"run {run.index} is {run.state}"
        if run.worker is not None or run.grace_until is not None or run.lease_expires_at is not None:
            yield f"run {run.index} still holds worker {run.worker}, grace {run.grace_until}"
        attempts = seen.attempts[run.id]
        if len(attempts) != run.attempts or run.attempts > run.max_attempts:
            yield f"run {run.index} counts {run.attempts} of at most {run.max_attempts} attempts, and has {len(attempts)}"
        if [one.number for one in attempts] != list(range(1, len(attempts) + 1)):
            yield f"the attempts of run {run.index} are not numbered one by one"
        if any(later.fence <= one.fence for one, later in pairwise(attempts)):
            yield f"the fences of run {run.index} do not grow"
        for one in attempts:
            if one.outcome not in _OUTCOMES or (one.outcome != "completed" and not (one.code and one.message)):
                yield f"attempt {one.number} of run {run.index} has no reason: '{one.outcome}' '{one.code}'"


def true(seen: Seen, promise: Promise | None, numbers: Numbers, journal: Journal) -> Iterator[str]:
    """Each run has one result, which is right, or a reason that a fault explains."""
    since = promise.at if promise else 0.0
    faults = journal.faults_after(since, 4 * LEASE_S)
    befallen = {done.of for done in faults} | {f"{done.of} {done.name}" for done in faults}
    for run in seen.runs:
        result, report = result_of(run), report_of(run)
        if run.state is RunState.COMPLETED:
            if result is None:
                yield f"run {run.index} is completed without a result"
                continue
            right = numbers.get((run.provider_id, run.benchmark_id))
            if right is not None and result.metrics != right:
                yield f"run {run.index} has {result.metrics}, and {right} is right"
        elif run.state is RunState.FAILED:
            code = report.error_message.message_code if report.error_message else ""
            if not EXPLAINED.get(code, frozenset()) & befallen:
                yield f"run {run.index} failed with '{code}', which no fault explains"
        elif run.state is RunState.CANCELLED and promise and not promise.cancelling:
            yield f"run {run.index} is cancelled, and nobody asked for that"
    if promise and promise.cancelled and seen.job.state is not JobState.CANCELLED:
        yield f"a cancel was acknowledged, and the job is {seen.job.state}"


def reported(seen: Seen, promise: Promise) -> Iterator[str]:
    """A completed report that was acknowledged is the run's result, unless the run had ended on better authority."""
    for index, (_, metrics) in promise.reports.items():
        run = seen.runs[index]
        if not metrics or run.verdict in (Verdict.USER, Verdict.ENGINE):
            continue
        result = result_of(run)
        if run.state is not RunState.COMPLETED or result is None or result.metrics != metrics:
            yield f"run {index} was reported completed with {metrics}, and is {run.state} with {result and result.metrics}"


def possible(seen: Seen) -> Iterator[str]:
    """The history is whole, in order, allowed by the model, and leads to what the store says now."""
    replayed, wrong = replay([run.id for run in seen.runs], seen.events)
    yield from wrong
    for run in seen.runs:
        one = replayed[run.id]
        if (one.state, one.verdict, one.leases) != (run.state, run.verdict, run.attempts):
            told = f"{one.state} by {one.verdict} after {one.leases} leases"
            yield f"the history leaves run {run.index} {told}, and it is {run.state} by {run.verdict} after {run.attempts}"
    said = [event.type.partition(".")[2] for event in seen.events if event.type.startswith("job.")]
    last = [state for state in said if state in set(JobState)]
    if (last or [JobState.PENDING])[-1] != seen.job.state:
        yield f"the history leaves the job {last[-1:]}, and it is {seen.job.state}"


def fair(seen: Sequence[Seen], slots: int, promises: Mapping[str, Promise]) -> Iterator[str]:
    """A tenant's first run waits for no more of others' leases than there are slots, however many of theirs are queued.

    Counted are the leases of others between the submission and the first lease of a job, for tenants that had nothing queued
    or leased at its submission: by the numbers of events, since clocks jump. A deleted job has left no events; its tenant
    may have had something queued or leased from when it was asked for until it was seen to have ended. A job that was
    submitted while the server's clock was ahead is due only when it is noticed that the clock was put back, half a second
    later, and does not count.
    """
    gone = [one for one in promises.values() if one.deleting]
    leases = [(event.seq, item.job.tenant) for item in seen for event in item.events if event.type == "run.leased"]
    for item in seen:
        made = item.events[0].seq
        mine = [one for one in seen if one.job.tenant == item.job.tenant and one is not item]
        if any(other.events[0].seq < made < other.events[-1].seq for other in mine):
            continue
        promise = promises.get(item.job.id)
        if any(one.tenant == item.job.tenant and (promise is None or _met(one, promise)) for one in gone):
            continue
        first = next((event for event in item.events if event.type == "run.leased"), None)
        if first is None or first.at < item.events[0].at:
            continue
        passed = [seq for seq, tenant in leases if tenant != item.job.tenant and made < seq < first.seq]
        if len(passed) > slots:
            yield f"job {item.job.id} waited for {len(passed)} leases of others, and there are {slots} slots"


def _met(earlier: Promise, later: Promise) -> bool:
    """Whether a job may have been open when another was made."""
    return earlier.asked < later.at and (earlier.over is None or earlier.over > later.asked)
