"""What the store keeps, as data: jobs, runs, attempts, events. Times are whole microseconds since 1970 (UTC)."""

from __future__ import annotations

from typing import Any

import msgspec

from assay.model.exports import Export
from assay.model.plan import Context, Plan
from assay.model.protocol import Gpu
from assay.model.states import JobState, RunState, Status, Verdict, WorkerState


class Run(msgspec.Struct, frozen=True, gc=False):
    """The small mutable state of one unit of execution."""

    id: str
    job_id: str
    index: int
    provider_id: str
    benchmark_id: str
    engine: str
    state: RunState
    status: Status
    priority: int
    queued_at: int
    available_at: int
    attempts: int
    max_attempts: int
    fence: int
    worker: str | None
    leased_at: int | None
    """When the last attempt was given to a worker; it is the one that goes on while there is a worker."""
    started_at: int | None
    """When the process of that attempt was started."""
    lease_expires_at: int | None
    grace_until: int | None
    finished_at: int | None
    verdict: Verdict | None
    done: int
    total: int
    report: bytes
    """JSON of `results.Report`."""
    result: bytes
    """JSON of `results.Result`; empty before there is one."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A submission: its immutable spec, and what follows from its runs."""

    id: str
    kind: str
    tenant: str
    owner: str
    name: str
    experiment_id: str
    state: JobState
    cancelled: bool
    created_at: int
    updated_at: int
    version: int
    spec: bytes
    """JSON object of what was posted, normalised."""
    collection: str
    """Id of the collection that it runs; empty for none."""
    model: str
    threshold: float | None
    test: bytes
    """JSON of `scores.JobTest`; empty where there is none."""
    experiment_url: str = ""
    """Where people see the job's MLflow experiment."""
    exports: bytes = b""
    """JSON of `exports.Export` by target; empty where there is none."""


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be created with its job."""

    id: str
    plan: Plan
    context: Context
    digest: str
    gpus: int = 0
    """GPUs that it needs to itself."""
    labels: dict[str, str] = {}
    """Labels that its worker must have."""


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job to be created. `threshold` is the job's resolved pass threshold."""

    id: str
    kind: str
    tenant: str
    owner: str
    name: str
    tags: list[str]
    spec: bytes
    runs: list[NewRun]
    collection: str = ""
    model: str = ""
    threshold: float | None = None
    priority: int = 0
    max_attempts: int = 3
    idempotency_key: str = ""
    posted: str = ""
    """Digest of what was posted, by which a repetition under the same key is told from something else."""
    experiment_id: str = ""
    experiment_url: str = ""
    exports: dict[str, Export] = {}
    max_open: int = 0
    """Jobs that its tenant may have which have not ended, this one included; below 1: no limit."""

    def created(self, now: int) -> tuple[Job, list[Run]]:
        """Return the job and its runs as they are once created at `now`."""
        job = Job(
            id=self.id,
            kind=self.kind,
            tenant=self.tenant,
            owner=self.owner,
            name=self.name,
            experiment_id=self.experiment_id,
            state=JobState.PENDING,
            cancelled=False,
            created_at=now,
            updated_at=now,
            version=1,
            spec=self.spec,
            collection=self.collection,
            model=self.model,
            threshold=self.threshold,
            test=b"",
            experiment_url=self.experiment_url,
            exports=msgspec.json.encode(self.exports) if self.exports else b"",
        )
        return job, [self._run(index, new, now) for index, new in enumerate(self.runs)]

    def _run(self, index: int, new: NewRun, now: int) -> Run:
        return Run(
            id=new.id,
            job_id=self.id,
            index=index,
            provider_id=new.plan.provider_id,
            benchmark_id=new.plan.benchmark_id,
            engine=new.plan.engine,
            state=RunState.QUEUED,
            status=Status.PENDING,
            priority=self.priority,
            queued_at=now,
            available_at=now,
            attempts=0,
            max_attempts=self.max_attempts,
            fence=0,
            worker=None,
            leased_at=None,
            started_at=None,
            lease_expires_at=None,
            grace_until=None,
            finished_at=None,
            verdict=None,
            done=0,
            total=0,
            report=b"{}",
            result=b"",
        )


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as it registered last, what it may do, and how many runs it holds."""

    name: str
    incarnation: str
    """Empty once its process has said that it ends."""
    state: WorkerState
    slots: int
    engines: dict[str, str]
    """Engine name to version."""
    version: str
    protocol: int
    cpus: int
    memory: int
    """Bytes."""
    gpus: list[Gpu]
    labels: dict[str, str]
    registered_at: int
    seen_at: int
    held: int = 0

    def alive(self, now: int, lease: int) -> bool:
        """Say whether its process has not said that it ends, and was heard of in the last `lease` microseconds."""
        return bool(self.incarnation) and now - self.seen_at <= lease


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a run. `outcome` empty: still going on."""

    run_id: str
    number: int
    fence: int
    worker: str
    leased_at: int
    started_at: int | None
    ended_at: int | None
    outcome: str
    code: str
    message: str
    exit_code: int | None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An append-only fact. `seq` grows; `run_id` empty: about the job."""

    seq: int
    job_id: str
    run_id: str
    at: int
    type: str
    data: dict[str, Any]
