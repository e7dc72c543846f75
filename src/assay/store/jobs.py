"""Operations on whole jobs: create, cancel, delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from assay.model.errors import IdempotencyMismatch, JobIsTerminal, NotFound, TooManyJobs
from assay.model.fairness import lane_key
from assay.model.identity import digest
from assay.model.messages import CANCELLED
from assay.model.notices import CREATED, of_job
from assay.model.plan import Plan
from assay.model.records import Job, NewJob, NewRun, Run
from assay.model.states import HELD, TERMINAL_JOBS, TERMINAL_RUNS, Cause, JobState, RunState, Status, Verdict
from assay.store import life, notices
from assay.store.base import QUEUE, Signal, Steps, job_topic, run, run_many, worker_topic
from assay.store.changes import JobActed, JobMoved
from assay.store.queries import JobWithRuns
from assay.store.rows import encode, report_of, run_of

_plan = msgspec.json.Decoder(Plan)


@dataclass(frozen=True)
class CreateJob:
    """Create a job and its runs; return both.

    With an idempotency key that the tenant used before: return the job made then, as it is now, and write nothing, or raise
    IdempotencyMismatch when the body was another. Raises TooManyJobs where the tenant may not have one more.
    """

    job: NewJob
    now: int

    def steps(self) -> Steps[tuple[Job, list[Run]]]:
        job = self.job
        if job.idempotency_key:
            body = digest(job.spec.decode())
            for row in (yield run("idempotency_key", tenant=job.tenant, key=job.idempotency_key)):
                if row["digest"] != body:
                    raise IdempotencyMismatch(key=job.idempotency_key)
                known = yield from JobWithRuns(row["job_id"]).steps()
                assert known is not None
                return known
        if job.max_open > 0:
            open_states = encode([state for state in JobState if state not in TERMINAL_JOBS]).decode()
            (count,) = yield run("count_jobs_in", tenant=job.tenant, states=open_states)
            if count["n"] >= job.max_open:
                raise TooManyJobs(limit=job.max_open)
        made, runs = job.created(self.now)
        (inserted,) = yield run(
            "insert_job",
            id=job.id,
            kind=job.kind,
            tenant=job.tenant,
            owner=job.owner,
            name=job.name,
            now=self.now,
            n_pending=len(job.runs),
            collection=job.collection,
            model=job.model,
            threshold=job.threshold,
            experiment_id=job.experiment_id,
            experiment_url=job.experiment_url,
            exports=made.exports,
        )
        yield run("insert_job_spec", job_id=job.id, spec=job.spec)
        if job.tags:
            yield run_many("insert_job_tag", [{"tenant": job.tenant, "tag": tag, "job_id": job.id} for tag in job.tags])
        if job.idempotency_key:
            yield run("insert_idempotency_key", tenant=job.tenant, key=job.idempotency_key, digest=body, job_id=job.id)
        yield run_many("insert_run", [self._run(index, new) for index, new in enumerate(job.runs)])
        plans = [
            {"run_id": new.id, "digest": new.digest, "plan": encode(new.plan), "context": encode(new.context)}
            | {"snapshot": new.plan.snapshot}
            for new in job.runs
        ]
        yield run_many("insert_plan", plans)
        yield from life.record(job.id, "", self.now, "job.created", {"runs": len(job.runs)})
        if inserted["watched"]:
            created = of_job(msgspec.structs.asdict(made), CREATED, made.state, self.now, made.version, runs=len(runs))
            yield from notices.tell(job.id, job.tenant, [created], self.now)
        yield Signal(QUEUE)
        first = job.runs[0].plan
        yield JobMoved(job.tenant, first.provider_id, job.collection, None, JobState.PENDING, 0.0)
        yield JobActed("created", first.runtime, job.tenant)
        return made, runs

    def _run(self, index: int, new: NewRun) -> dict[str, Any]:
        """Return a run as the parameters of `insert_run`."""
        job, plan = self.job, new.plan
        return {
            "id": new.id,
            "job_id": job.id,
            "idx": index,
            "provider_id": plan.provider_id,
            "benchmark_id": plan.benchmark_id,
            "engine": plan.engine,
            "priority": job.priority,
            "max_attempts": job.max_attempts,
            "now": self.now,
            "tenant": job.tenant,
            "owner": job.owner,
            "gpus": new.gpus,
            "labels": encode(new.labels).decode() if new.labels else "",
            "lane": lane_key(job.tenant, job.owner, plan.provider_id, plan.engine, new.gpus, new.labels),
        }


def _visible(job_id: str, tenant: str | None) -> Steps[tuple[JobState, str]]:
    """Return state and tenant of a job that `tenant` may see (None: whoever asks may see all), or raise NotFound."""
    rows = yield run("job_version", id=job_id)
    if not rows or tenant not in (None, rows[0]["tenant"]):
        raise NotFound(kind="evaluation job", id=job_id)
    return JobState(rows[0]["state"]), rows[0]["tenant"]


def _acted(action: str, run_id: str, tenant: str) -> Steps[None]:
    """Tell those who count what a user did with the job that the run belongs to."""
    (row,) = yield run("plan", run_id=run_id)
    yield JobActed(action, _plan.decode(row["plan"]).runtime, tenant)


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
        moved: list[life.Moved] = []
        for row in rows:
            one = run_of(row)
            if one.state not in TERMINAL_RUNS:
                yield from _cancel(one, self.now, count=False)
                moved.append((one, Status.CANCELLED, None))
        yield from life.recount(self.job_id, moved, self.now, cancel=True)
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
        (job,) = yield run("job_to_change", id=self.job_id)
        if job["watched"]:
            yield from notices.tell(self.job_id, tenant, [notices.of_deletion(job, self.now)], self.now)
        yield run("drop_cards", job_id=self.job_id)
        yield run("delete_job", id=self.job_id)
        for worker in {row["worker"] for row in rows if row["worker"]}:
            yield Signal(worker_topic(worker))
        yield Signal(job_topic(self.job_id))
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
        yield from _cancel(one, self.now)


def _cancel(one: Run, now: int, count: bool = True) -> Steps[None]:
    """Cancel a run that has not ended; its worker keeps the slot until the process is gone."""
    yield from life.move(
        one,
        Cause.CANCEL,
        RunState.CANCELLED,
        now,
        verdict=Verdict.USER,
        report=life.with_error(report_of(one), CANCELLED),
        keep_lease=one.state in HELD,
        count=count,
    )
