"""Admission: the one function through which every submission becomes a job.

It resolves what was posted into a plan for each run, and refuses here what cannot succeed later.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from assay.artifacts.snapshots import Files
from assay.config import Settings
from assay.engines.base import Offer
from assay.engines.registry import planner
from assay.exports.mlflow import Experiment, Mlflow
from assay.exports.remote import RemoteFailed
from assay.gateway import MlflowServer
from assay.model import placement
from assay.model.collections import MERGED
from assay.model.errors import (
    CredentialInBody,
    ExperimentTrackingOff,
    MlflowFailed,
    ModelUrlRequired,
    ShaIsReadOnly,
    TooManyBenchmarks,
)
from assay.model.exports import planned
from assay.model.identity import digest
from assay.model.plan import Context, Model, Plan
from assay.model.records import Job, NewJob, NewRun, Run
from assay.model.scores import Criteria
from assay.scheduler.catalogue import Entry
from assay.scheduler.identifiers import new_id, now, rfc3339
from assay.scheduler.inputs import Inputs
from assay.scheduler.offerings import Offerings
from assay.store.base import Store
from assay.store.jobs import CreateJob, JobOfKey

_CREDENTIAL_NAMES = "api[-_]?key|authorization|auth[-_]?token|access[-_]?token|token|secret|password|bearer"
_CREDENTIAL = re.compile(f"(?i)^({_CREDENTIAL_NAMES})$")
_CREDENTIAL_IN_URL = re.compile(
    rf"(?i)^[a-z][a-z0-9+.-]*://([^/@\s:]*:[^/@\s]+@|[^?#]*\?([^#]*&)?({_CREDENTIAL_NAMES})=[^&#])"
)
_LONGEST_TAG = 5000
_LARGE = 1 << 15
"""Bytes of JSON that are searched in some ten milliseconds at most."""
_PRE_RECORDED = "pre_recorded_data"


async def submit(
    store: Store,
    offerings: Offerings,
    inputs: Inputs,
    settings: Settings,
    body: dict[str, Any],
    *,
    tenant: str,
    owner: str,
    idempotency_key: str = "",
) -> tuple[Job, list[Run]]:
    """Create a job from a normalised submission (`model.submission.JOB`); return it and its runs once they are durable.

    A submission that is repeated under its key is answered with the job that it made, whatever has become of its collection
    or provider since.
    A job with an `experiment` gets one at MLflow: the last thing that is done before the job is written. Raises NotFound
    (provider, collection), DoesNotExist (benchmark), ModelUrlRequired, PreflightFailed, EngineMissing, MlflowFailed and
    others of the error tree.
    """
    posted = digest(msgspec.json.encode(body, order="deterministic").decode()) if idempotency_key else ""
    if idempotency_key and (known := await store.lookup(JobOfKey(tenant, idempotency_key, posted))):
        return known
    if len(msgspec.json.encode(body["model"])) > _LARGE:
        await asyncio.to_thread(_no_credentials, "model", body["model"])
    else:
        _no_credentials("model", body["model"])
    collection, benchmarks = await offerings.benchmarks(body, tenant)
    if 0 < settings.max_benchmarks < len(benchmarks):
        raise TooManyBenchmarks(count=len(benchmarks), limit=settings.max_benchmarks)
    for named in (*body.get("benchmarks", []), *body.get("collection", {}).get("benchmarks", [])):
        if "resolved_sha" in named.get("test_data_ref", {}):
            raise ShaIsReadOnly
    chosen, providers = [], {}
    for benchmark in benchmarks:
        provider_id = benchmark["provider_id"]
        if provider_id not in providers:
            providers[provider_id] = await offerings.entry("provider", provider_id, tenant)
        provider = providers[provider_id]
        chosen.append((provider, provider.benchmark(benchmark["id"]), benchmark))
    if not body["model"].get("url") and any(b.get("test_data_ref", {}).get("type") != _PRE_RECORDED for b in benchmarks):
        raise ModelUrlRequired
    mlflow = MlflowServer.of(settings)
    if "experiment" in body and mlflow is None:
        raise ExperimentTrackingOff
    taken: dict[Files, str] = {}
    runs = [await _run(settings, inputs, taken, body, *one) for one in chosen]
    threshold = body.get("pass_criteria", {}).get("threshold")
    if collection:
        stamp: dict[str, Any] = {"collection_updated_at": rfc3339(collection.updated_at)}
        if any("test_data_ref" in benchmark for benchmark in benchmarks):
            stamp[MERGED] = benchmarks
        body = {**body, "collection": {**body["collection"], **stamp}}
        if threshold is None:
            threshold = collection.body.get("pass_criteria", {}).get("threshold")
    job_id = new_id()
    experiment = None
    if "experiment" in body and mlflow is not None:
        experiment = await _experiment(mlflow, body, job_id, tenant)
        runs = [_in_experiment(run, body["experiment"], experiment) for run in runs]
    job = NewJob(
        id=job_id,
        kind="evaluation",
        tenant=tenant,
        owner=owner,
        name=body["name"],
        tags=body.get("tags", []),
        spec=msgspec.json.encode(body),
        runs=runs,
        threshold=threshold,
        collection=collection.id if collection else "",
        model=body["model"]["name"],
        priority=body.get("priority", 0),
        idempotency_key=idempotency_key,
        posted=posted,
        experiment_id=experiment.id if experiment else "",
        experiment_url=experiment.url if experiment else "",
        exports=planned(body),
        max_open=settings.max_open_jobs,
    )
    return await store.apply(CreateJob(job, now()))


async def _experiment(server: MlflowServer, body: Mapping[str, Any], job_id: str, tenant: str) -> Experiment:
    """Return the job's MLflow experiment, made where there was none. Raises MlflowFailed."""
    asked = body["experiment"]
    about = {
        "context": "eval-hub",
        "evaluation_job_name": body["name"],
        "evaluation_job_description": body.get("description", "")[:_LONGEST_TAG],
        "evaluation_job_id": job_id,
    }
    tags = {tag["key"]: tag["value"] for tag in asked.get("tags", [])} | {
        key: value for key, value in about.items() if value
    }
    listed = [{"key": key, "value": value} for key, value in tags.items()]
    try:
        async with Mlflow(server, tenant) as mlflow:
            return await mlflow.experiment(asked["name"], listed, asked.get("artifact_location", ""))
    except RemoteFailed as error:
        raise MlflowFailed(error=str(error)) from error


def _in_experiment(run: NewRun, asked: Mapping[str, Any], experiment: Experiment) -> NewRun:
    """Return a run whose context names the experiment: it is no part of what the run does."""
    context = msgspec.structs.replace(
        run.context,
        experiment_name=asked["name"],
        experiment_tags=asked.get("tags", []),
        experiment_workspace=experiment.workspace,
    )
    return msgspec.structs.replace(run, context=context)


async def _run(
    settings: Settings,
    inputs: Inputs,
    taken: dict[Files, str],
    body: Mapping[str, Any],
    provider: Entry,
    entry: Mapping[str, Any],
    benchmark: Mapping[str, Any],
) -> NewRun:
    """Return a run of the submission; `taken` has the snapshots that were taken for it so far."""
    model = body["model"]
    parameters = dict(benchmark.get("parameters", {}))
    _no_credentials(f"benchmarks.{benchmark['id']}.parameters", parameters)
    num_examples = _lift_examples(parameters)
    runtime = provider.body.get("runtime", {})
    limits = (benchmark, body, runtime.get("assay", {}))
    offer = Offer(
        provider_id=provider.id,
        benchmark=entry,
        runtime=runtime,
        folder=provider.folder,
        parameters=parameters,
        model_url=model.get("url", ""),
    )
    engine = planner(provider.engine)
    if engine.reads_files:
        resolved = await asyncio.to_thread(engine.resolve, offer, settings.engines_dir)
    else:
        resolved = engine.resolve(offer, settings.engines_dir)
    files = resolved.files
    if files and files not in taken:
        taken[files] = await inputs.take(files, f"provider '{provider.id}'")
    plan = Plan(
        kind="evaluation",
        provider_id=provider.id,
        benchmark_id=benchmark["id"],
        engine=provider.engine,
        engine_version=resolved.version,
        model=Model(model["name"], model.get("url", ""), model.get("parameters", {}), model.get("card_url", "")),
        parameters=parameters | ({"num_examples": num_examples} if num_examples is not None else {}),
        options=resolved.options,
        datasets=resolved.datasets,
        snapshot=taken[files] if files else "",
        resources=placement.asked(limit.get("resources", {}) for limit in limits),
    )
    context = Context(
        secret_ref=model.get("auth", {}).get("secret_ref", ""),
        criteria=_criteria(benchmark, entry),
        timeout_s=_first("timeout_seconds", *limits),
        stale_s=_first("stale_seconds", *limits),
        num_examples=num_examples,
        exports=body.get("exports", {}),
        locations={"root": str(files.root), "start": files.start} if files else {},
    )
    asked = plan.resources or placement.Resources()
    return NewRun(id=new_id(), plan=plan, context=context, digest=plan.digest(), gpus=asked.gpus, labels=asked.labels)


def _first(name: str, *bodies: Mapping[str, Any]) -> float | None:
    """Return the value of the first body that has one which is not 0."""
    return next((body[name] for body in bodies if body.get(name)), None)


def _criteria(benchmark: Mapping[str, Any], entry: Mapping[str, Any]) -> Criteria:
    """Return how a benchmark is judged: the submission's own word first, the provider's second, member by member."""
    score = benchmark.get("primary_score") or entry.get("primary_score") or {}
    criteria = benchmark.get("pass_criteria") or entry.get("pass_criteria") or {}
    return Criteria(
        metric=score.get("metric", ""),
        lower_is_better=score.get("lower_is_better", False),
        threshold=criteria.get("threshold"),
        weight=benchmark.get("weight", 1.0),
    )


def _lift_examples(parameters: dict[str, Any]) -> int | None:
    """Take `num_examples` out of the parameters where it is a whole number (or its text); else leave it alone."""
    value = parameters.get("num_examples")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    del parameters["num_examples"]
    return value


def _no_credentials(field: str, value: Any) -> None:
    """Raise CredentialInBody where a member of `value` is named like a credential, or a URL carries one."""
    if isinstance(value, dict):
        for name, item in value.items():
            if _CREDENTIAL.match(name) and isinstance(item, str) and item:
                raise CredentialInBody(field=f"{field}.{name}")
            _no_credentials(f"{field}.{name}", item)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _no_credentials(f"{field}[{i}]", item)
    elif isinstance(value, str) and _CREDENTIAL_IN_URL.match(value):
        raise CredentialInBody(field=field)
