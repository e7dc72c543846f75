"""Questions about single jobs, runs and workers, all by primary key or index."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import msgspec

from assay.model.plan import Context, Plan
from assay.model.protocol import ArtifactRef
from assay.model.records import Attempt, Job, Run, Worker
from assay.store.base import Steps, run
from assay.store.leases import registered
from assay.store.rows import JOB_COLUMNS, attempt_of, job_of, run_of, worker_of

_plan = msgspec.json.Decoder(Plan)
_context = msgspec.json.Decoder(Context)


@dataclass(frozen=True)
class JobVersion:
    """The tenant, version and state of a job, or None: enough to know whether a cached document is fresh."""

    job_id: str

    def steps(self) -> Steps[tuple[str, int, str] | None]:
        rows = yield run("job_version", id=self.job_id)
        return (rows[0]["tenant"], rows[0]["version"], rows[0]["state"]) if rows else None


@dataclass(frozen=True)
class JobWithRuns:
    """A job and its runs in the order of their index, or None."""

    job_id: str

    def steps(self) -> Steps[tuple[Job, list[Run]] | None]:
        rows = [tuple(row) for row in (yield run("job_with_runs", id=self.job_id))]
        if not rows:
            return None
        after = len(JOB_COLUMNS) + 1
        return job_of(rows[0][:after]), [run_of(row[after:]) for row in rows if row[after] is not None]


@dataclass(frozen=True)
class RunById:
    """A run, or None."""

    run_id: str

    def steps(self) -> Steps[Run | None]:
        rows = yield run("run", id=self.run_id)
        return run_of(rows[0]) if rows else None


@dataclass(frozen=True)
class RunPlan:
    """The plan, context and digest of a run, or None."""

    run_id: str

    def steps(self) -> Steps[tuple[Plan, Context, str] | None]:
        rows = yield run("plan", run_id=self.run_id)
        if not rows:
            return None
        return _plan.decode(rows[0]["plan"]), _context.decode(rows[0]["context"]), rows[0]["digest"]


@dataclass(frozen=True)
class AttemptsOfRun:
    """The attempts of a run, oldest first."""

    run_id: str

    def steps(self) -> Steps[list[Attempt]]:
        return [attempt_of(row) for row in (yield run("attempts_of_run", run_id=self.run_id))]


@dataclass(frozen=True)
class ArtifactsOfRun:
    """The artifacts of a run, by name."""

    run_id: str

    def steps(self) -> Steps[list[ArtifactRef]]:
        return [msgspec.convert(dict(row), ArtifactRef) for row in (yield run("artifacts_of_run", run_id=self.run_id))]


@dataclass(frozen=True)
class ReferencedBlobs:
    """The digest of every blob that an artifact refers to."""

    def steps(self) -> Steps[set[str]]:
        return {row["digest"] for row in (yield run("artifact_digests"))}


@dataclass(frozen=True)
class KnownJobs:
    """Those of these ids that are a job's."""

    ids: tuple[str, ...]

    def steps(self) -> Steps[set[str]]:
        return {row["id"] for row in (yield run("known_jobs", ids=msgspec.json.encode(self.ids).decode()))}


@dataclass(frozen=True)
class Workers:
    """Every worker that has registered, by name."""

    def steps(self) -> Steps[list[Worker]]:
        return [worker_of(row, row["held"]) for row in (yield run("workers"))]


@dataclass(frozen=True)
class WorkerWithRuns:
    """A worker, and the runs that it holds, each with the tenant of its job; None for an unknown one."""

    name: str

    def steps(self) -> Steps[tuple[Worker, list[tuple[Run, str]]] | None]:
        rows = yield run("worker", name=self.name)
        if not rows:
            return None
        held = yield run("held_with_tenant", worker=self.name)
        return worker_of(rows[0], rows[0]["held"]), [(run_of(row), row["tenant"]) for row in held]


@dataclass(frozen=True)
class RegisteredWorker:
    """A registered worker, without the number of its runs. Raises UnknownWorker for another incarnation."""

    name: str
    incarnation: str

    def steps(self) -> Steps[Worker]:
        return (yield from registered(self.name, self.incarnation, "registered_worker"))


@dataclass(frozen=True)
class Due:
    """When the next lease and the next grace lapse (None: none is open)."""

    def steps(self) -> Steps[tuple[int | None, int | None]]:
        (row,) = yield run("due")
        return row["lease"], row["grace"]


@dataclass(frozen=True)
class RecentDurations:
    """What runs took that were completed, the last one last: provider, benchmark, seconds in the attempt that completed it.

    Among the `most` newest attempts, by the age of their runs, whatever became of them.
    """

    most: int

    def steps(self) -> Steps[list[tuple[str, str, float]]]:
        rows = yield run("recent_durations", limit=self.most)
        return [(row["provider_id"], row["benchmark_id"], max(row["took"], 0) / 1e6) for row in rows]


@dataclass(frozen=True)
class NextReady:
    """When the next queued run for one of `engines` may be leased, or None."""

    engines: tuple[str, ...]

    def steps(self) -> Steps[int | None]:
        (row,) = yield run("next_ready", engines=msgspec.json.encode(self.engines).decode())
        return row["at"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class OpenRuns:
    """How many runs are queued, leased and running."""

    def steps(self) -> Steps[dict[str, int]]:
        found: Counter[str] = Counter()
        for row in (yield run("queue_depth")):
            found[row["state"]] += row["n"]
        return {state: count for state, count in found.items() if count}


@dataclass(frozen=True)
class JobsOfCollections:
    """How many jobs of a tenant ran each collection."""

    tenant: str

    def steps(self) -> Steps[dict[str, int]]:
        return {row["collection"]: row["n"] for row in (yield run("count_jobs_of_collections", tenant=self.tenant))}


@dataclass(frozen=True)
class JobCounts:
    """How many jobs each tenant has in each state, as (tenant, state, number above 0)."""

    def steps(self) -> Steps[list[tuple[str, str, int]]]:
        return [(row["tenant"], row["state"], row["n"]) for row in (yield run("count_jobs"))]
