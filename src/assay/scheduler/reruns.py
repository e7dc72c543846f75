"""Reruns: a new job from the plans of an old one, so that the same is done again, whatever has changed since."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from assay.model.collections import MERGED
from assay.model.errors import NotFound, NothingToRerun
from assay.model.exports import planned
from assay.model.placement import Resources
from assay.model.records import Job, NewJob, NewRun, Run
from assay.model.shapes import Member, Object, Text
from assay.model.states import Status
from assay.scheduler.identifiers import new_id, now
from assay.store.base import Store
from assay.store.jobs import CreateJob
from assay.store.queries import JobWithRuns, RunPlan

RERUN: Final = Object((Member("benchmarks", Text(one_of=("all", "failed"))), Member("name", Text())))
"""What to run again (`all` if not said), and the name of the new job."""

_ENDED_BADLY: Final = frozenset({Status.FAILED, Status.CANCELLED})


async def rerun(
    store: Store, job_id: str, asked: dict[str, Any], *, tenant: str, owner: str, max_open_jobs: int = 0
) -> tuple[Job, list[Run]]:
    """Create the new job and return it with its runs. Raises NotFound, NothingToRerun, TooManyJobs."""
    found = await store.lookup(JobWithRuns(job_id))
    if found is None or found[0].tenant != tenant:
        raise NotFound(kind="evaluation job", id=job_id)
    job, runs = found
    if asked.get("benchmarks") == "failed":
        runs = [run for run in runs if run.status in _ENDED_BADLY]
    if not runs:
        raise NothingToRerun(id=job_id)
    spec = _spec(job, runs, asked)
    new = NewJob(
        id=new_id(),
        kind=job.kind,
        tenant=tenant,
        owner=owner,
        name=spec["name"],
        tags=spec.get("tags", []),
        spec=msgspec.json.encode(spec),
        runs=[await _run(store, run) for run in runs],
        collection=job.collection,
        model=job.model,
        threshold=job.threshold,
        priority=spec.get("priority", 0),
        experiment_id=job.experiment_id,
        experiment_url=job.experiment_url,
        exports=planned(spec),
        max_open=max_open_jobs,
    )
    return await store.apply(CreateJob(new, now()))


def _spec(job: Job, runs: list[Run], asked: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = msgspec.json.decode(job.spec)
    if asked.get("name"):
        spec["name"] = asked["name"]
    if "benchmarks" in spec:
        spec["benchmarks"] = [spec["benchmarks"][run.index] for run in runs]
    if merged := spec.get("collection", {}).get(MERGED):
        spec["collection"][MERGED] = [merged[run.index] for run in runs]
    return {**spec, "rerun_of": job.id}


async def _run(store: Store, run: Run) -> NewRun:
    kept = await store.lookup(RunPlan(run.id))
    assert kept is not None
    plan, context, digest = kept
    asked = plan.resources or Resources()
    return NewRun(id=new_id(), plan=plan, context=context, digest=digest, gpus=asked.gpus, labels=asked.labels)
