"""Operations on whole jobs: create, cancel, delete."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from assay.model.errors import AssayError, IdempotencyMismatch, JobIsTerminal, NotFound, TooManyJobs
from assay.model.fairness import lane_key
from assay.model.messages import CANCELLED
from assay.model.notices import CREATED, of_job
from assay.model.plan import Plan
from assay.model.records import Job, NewJob, NewRun, Run
from assay.model.states import HELD, TERMINAL_JOBS, TERMINAL_RUNS, Cause, JobState, RunState, Verdict
from assay.store import life, notices
from assay.store.base import QUEUE, Signal, Steps, alone, ask_each, job_topic, run, run_many, worker_topic
from assay.store.changes import JobActed, JobMoved
from assay.store.history import event, record
from assay.store.queries import JobWithRuns
from assay.store.rows import encode, listed, report_of, run_of

_plan = msgspec.json.Decoder(Plan)

_MOST_TOGETHER = 400
"""Most bytes of all tags of a job that each of them is kept with."""


@dataclass(frozen=True)
class JobOfKey:
    """The job that a tenant made with an idempotency key, and its runs, as they are now; None if there is none.

    Raises IdempotencyMismatch when something else was posted then.
    """

    tenant: str
    key: str
    posted: str

    def steps(self) -> Steps[tuple[Job, list[Run]] | None]:
        rows = yield run("idempotency_key", tenant=self.tenant, key=self.key)
        if not rows:
            return None
        if rows[0]["digest"] != self.posted:
            raise IdempotencyMismatch(key=self.key)
        return (yield from JobWithRuns(rows[0]["job_id"]).steps())


@dataclass(frozen=True)
class CreateJob:
    """Create a job and its runs; return both.

    With an idempotency key that the tenant used before: return the job made then, as it is now, and write nothing, or raise
    IdempotencyMismatch when the body was another. Raises TooManyJobs where the tenant may not have one more.
    """

    job: NewJob
    now: int

    @property
    def keys(self) -> tuple[Hashable, ...]:
        job = self.job
        key = ("key", job.tenant, job.idempotency_key) if job.idempotency_key else None
        limited = ("open", job.tenant) if job.max_open > 0 else None
        return tuple(one for one in (key, limited) if one)

    def steps(self) -> Steps[tuple[Job, list[Run]]]:
        return alone(self)

    @classmethod
    def together(cls, operations: Sequence[CreateJob]) -> Steps[list[tuple[Job, list[Run]] | AssayError]]:
        answers: list[tuple[Job, list[Run]] | AssayError] = []
        new: list[CreateJob] = []
        for asked in operations:
            try:
                known = yield from asked._known()
            except AssayError as refusal:
                answers.append(refusal)
                continue
            if known is None:
                new.append(asked)
                known = asked.job.created(asked.now)
            answers.append(known)
        if new:
            yield from cls._write(new)
        return answers

    def _known(self) -> Steps[tuple[Job, list[Run]] | None]:
        """Return the job that was made with the same key. Raises IdempotencyMismatch, TooManyJobs."""
        job = self.job
        if job.idempotency_key:
            known = yield from JobOfKey(job.tenant, job.idempotency_key, job.posted).steps()
            if known is not None:
                return known
        if job.max_open > 0:
            open_states = listed(state for state in JobState if state not in TERMINAL_JOBS)
            (count,) = yield run("count_jobs_in", tenant=job.tenant, states=open_states)
            if count["n"] >= job.max_open:
                raise TooManyJobs(limit=job.max_open)
        return None

    @staticmethod
    def _write(new: Sequence[CreateJob]) -> Steps[None]:
        jobs = [(asked.job, asked.now) for asked in new]
        watched = yield ask_each("insert_job", [_job_row(job, now) for job, now in jobs])
        yield run_many("insert_job_spec", [{"job_id": job.id, "spec": job.spec} for job, _ in jobs])
        if tags := [row for job, _ in jobs for row in _tag_rows(job)]:
            yield run_many("insert_job_tag", tags)
        if keys := [
            {"tenant": one.job.tenant, "key": one.job.idempotency_key, "digest": one.job.posted, "job_id": one.job.id}
            for one in new
            if one.job.idempotency_key
        ]:
            yield run_many("insert_idempotency_key", keys)
        yield run_many(
            "insert_run", [_run_row(job, index, run, now) for job, now in jobs for index, run in enumerate(job.runs)]
        )
        yield run_many("insert_plan", [_plan_row(run) for job, _ in jobs for run in job.runs])
        yield from record([event(job.id, "", now, "job.created", {"runs": len(job.runs)}) for job, now in jobs])
        yield [Signal(QUEUE)]
        for (job, now), row in zip(jobs, watched, strict=True):
            if row["watched"]:
                made = msgspec.structs.asdict(job.created(now)[0])
                created = of_job(made, CREATED, JobState.PENDING, now, made["version"], runs=len(job.runs))
                yield from notices.tell(job.id, job.tenant, [created], now)
            first = job.runs[0].plan
            moved = JobMoved(job.tenant, first.provider_id, job.collection, None, JobState.PENDING, 0.0)
            yield [moved, JobActed("created", first.runtime, job.tenant)]


def _tag_rows(job: NewJob) -> list[dict[str, Any]]:
    """Return the tags of a job as the parameters of `insert_job_tag`. No tag has a comma."""
    all_tags = f",{','.join(job.tags)},"
    if len(all_tags.encode()) > _MOST_TOGETHER:
        all_tags = ""
    return [{"tenant": job.tenant, "tag": tag, "job_id": job.id, "all_tags": all_tags} for tag in job.tags]


def _job_row(job: NewJob, now: int) -> dict[str, Any]:
    """Return a job as the parameters of `insert_job`."""
    return {
        "id": job.id,
        "kind": job.kind,
        "tenant": job.tenant,
        "owner": job.owner,
        "name": job.name,
        "now": now,
        "n_pending": len(job.runs),
        "collection": job.collection,
        "model": job.model,
        "threshold": job.threshold,
        "experiment_id": job.experiment_id,
        "experiment_url": job.experiment_url,
        "exports": encode(job.exports) if job.exports else b"",
    }


def _run_row(job: NewJob, index: int, new: NewRun, now: int) -> dict[str, Any]:
    """Return a run as the parameters of `insert_run`."""
    plan = new.plan
    return {
        "id": new.id,
        "job_id": job.id,
        "idx": index,
        "provider_id": plan.provider_id,
        "benchmark_id": plan.benchmark_id,
        "engine": plan.engine,
        "priority": job.priority,
        "max_attempts": job.max_attempts,
        "now": now,
        "tenant": job.tenant,
        "owner": job.owner,
        "gpus": new.gpus,
        "labels": encode(new.labels).decode() if new.labels else "",
        "lane": lane_key(job.tenant, job.owner, plan.provider_id, plan.engine, new.gpus, new.labels),
    }


def _plan_row(new: NewRun) -> dict[str, Any]:
    """Return the plan of a run as the parameters of `insert_plan`."""
    plan, context = encode(new.plan), encode(new.context)
    return {"run_id": new.id, "digest": new.digest, "plan": plan, "context": context, "snapshot": new.plan.snapshot}


def _visible(job_id: str, tenant: str | None) -> Steps[tuple[JobState, str]]:
    """Return state and tenant of a job that `tenant` may see (None: whoever asks may see all), or raise NotFound."""
    rows = yield run("job_version", id=job_id)
    if not rows or tenant not in (None, rows[0]["tenant"]):
        raise NotFound(kind="evaluation job", id=job_id)
    return JobState(rows[0]["state"]), rows[0]["tenant"]


def _acted(action: str, run_id: str, tenant: str) -> Steps[None]:
    """Tell those who count what a user did with the job that the run belongs to."""
    (row,) = yield run("plan", run_id=run_id)
    yield [JobActed(action, _plan.decode(row["plan"]).runtime, tenant)]


@dataclass(frozen=True)
class CancelJob:
    """Cancel a job: every run that has not ended is cancelled, and workers stop theirs.

    Cancelling twice is harmless. Raises NotFound, or JobIsTerminal for a job that ended otherwise.
    """

    job_id: str
    tenant: str | None
    now: int

    def steps(self) -> Steps[None]:
        # Locked first: with all of its runs in hand, nobody else can bring the job to its end.
        rows = yield run("runs_to_cancel", job_id=self.job_id)
        state, tenant = yield from _visible(self.job_id, self.tenant)
        if state is JobState.CANCELLED:
            return
        if state in TERMINAL_JOBS:
            raise JobIsTerminal(id=self.job_id, wanted="cancelled", state=state.value)
        still_open = [one for one in map(run_of, rows) if one.state not in TERMINAL_RUNS]
        yield from life.move([_cancelled(one, self.now) for one in still_open], cancelled=(self.job_id,))
        yield from _acted("cancelled", rows[0]["id"], tenant)


@dataclass(frozen=True)
class DeleteJob:
    """Delete a job with everything that belongs to it, in whatever state; return the ids of its runs."""

    job_id: str
    tenant: str | None
    now: int

    def steps(self) -> Steps[list[str]]:
        rows = yield run("runs_to_cancel", job_id=self.job_id)  # locked before the job, as whoever ends a run does
        _, tenant = yield from _visible(self.job_id, self.tenant)
        yield from _acted("deleted", rows[0]["id"], tenant)
        (job,) = yield run("jobs_to_change", ids=listed([self.job_id]))
        if job["watched"]:
            yield from notices.tell(self.job_id, tenant, [notices.of_deletion(job, self.now)], self.now)
        yield run("drop_cards", job_id=self.job_id)
        yield run("delete_job", id=self.job_id)
        for worker in {row["worker"] for row in rows if row["worker"]}:
            yield [Signal(worker_topic(worker))]
        yield [Signal(job_topic(self.job_id))]
        return [row["id"] for row in rows]


@dataclass(frozen=True)
class CancelRun:
    """Cancel one run of a job that goes on with its others. Raises NotFound, JobIsTerminal for one that ended otherwise."""

    job_id: str
    index: int
    tenant: str | None
    now: int

    def steps(self) -> Steps[None]:
        yield from _visible(self.job_id, self.tenant)
        rows = yield run("run_at", job_id=self.job_id, idx=self.index)
        if not rows:
            raise NotFound(kind="benchmark", id=str(self.index))
        one = run_of(rows[0])
        if one.state is RunState.CANCELLED:
            return
        if one.state in TERMINAL_RUNS:
            raise JobIsTerminal(id=self.job_id, wanted="cancelled", state=one.state.value)
        yield from life.move([_cancelled(one, self.now)])


def _cancelled(one: Run, now: int) -> life.Move:
    """Return how a run that has not ended is cancelled; its worker keeps the slot until the process is gone."""
    return life.Move(
        before=one,
        cause=Cause.CANCEL,
        to=RunState.CANCELLED,
        now=now,
        verdict=Verdict.USER,
        report=life.with_error(report_of(one), CANCELLED),
        keep_lease=one.state in HELD,
    )
