"""Job and provider resources on the wire.

A job's document is put together from the stored bytes of its spec and small rows about its runs; optional members that are
empty are left out, never null.
"""

from __future__ import annotations

from typing import Any

import msgspec

from assay.model.collections import MERGED
from assay.model.exports import COMPLETED, MLFLOW, OCI, Export
from assay.model.messages import CREATED, job_message
from assay.model.offering import POD_NAMES
from assay.model.records import Job, Run
from assay.model.results import Message
from assay.model.states import HELD, TERMINAL_STATUSES, JobState
from assay.scheduler.catalogue import Entry
from assay.scheduler.identifiers import rfc3339
from assay.server.respond import dump, escape
from assay.store.rows import report_of

_MERGED = f'"{MERGED}":'.encode()
_exports_decoder = msgspec.json.Decoder(dict[str, Export])


def job_document(job: Job, runs: list[Run], *, created: bool = False) -> bytes:
    """Return the JSON of a job, with a final newline. `created`: as the answer to its submission."""
    status = {
        "state": job.state,
        "message": CREATED if created else _message(job, runs),
        "benchmarks": [_status_row(run) for run in runs],
    }
    results: dict[str, Any] = {}
    if job.test:
        results["test"] = msgspec.Raw(job.test)
    rows = [_result_row(run) for run in runs if run.result and run.status in TERMINAL_STATUSES]
    if rows:
        results["benchmarks"] = rows
    if job.experiment_url:
        results["mlflow_experiment_url"] = job.experiment_url
    if job.exports:
        results |= _exports(job)
    head = dump({"resource": _resource(job), "status": status, "results": results})
    return joined(head, escape(_spec(job, runs))) + b"\n"


def joined(one: bytes, other: bytes) -> bytes:
    """Return a JSON object with the members of `one`, which has some, and those of `other` after them."""
    return one[:-1] + (b"}" if other == b"{}" else b"," + other[1:])


def job_summary(job: Job) -> bytes:
    """Return the JSON of what a list shows of a job, without a final newline: what it is, and how it went as a whole."""
    document: dict[str, Any] = {"resource": _resource(job), "status": {"state": job.state}}
    if job.test:
        document["results"] = {"test": msgspec.Raw(job.test)}
    document |= {"name": job.name, "model": {"name": job.model}}
    if job.collection:
        document["collection"] = {"id": job.collection}
    return dump(document)


def _resource(job: Job) -> dict[str, Any]:
    resource: dict[str, Any] = {"id": job.id}
    if job.tenant:
        resource["tenant"] = job.tenant
    resource |= {"created_at": rfc3339(job.created_at), "updated_at": rfc3339(job.updated_at)}
    if job.owner:
        resource["owner"] = job.owner
    if job.experiment_id:
        resource["mlflow_experiment_id"] = job.experiment_id
    return resource


def _exports(job: Job) -> dict[str, Any]:
    """Return what became of the evaluation card, by target."""
    shown: dict[str, Any] = {}
    for target, export in _exports_decoder.decode(job.exports).items():
        shown[target] = {"status": {"state": export.state, "message": export.message}}
        if export.state == COMPLETED and target == OCI:
            shown[target]["evaluation_card"] = {"oci_digest": export.digest, "oci_reference": export.reference}
        elif export.state == COMPLETED and target == MLFLOW:
            shown[target]["evaluation_card"] = {"run_id": export.reference}
    return shown


def _spec(job: Job, runs: list[Run]) -> bytes:
    """Return what was posted, and with it the commits that test data were found to be."""
    found = {run.index: sha for run in runs if b"resolved_sha" in run.report and (sha := report_of(run).resolved_sha)}
    if not found and not (job.collection and _MERGED in job.spec):
        return job.spec
    spec = msgspec.json.decode(job.spec)
    named = spec.get("collection", {})
    listed = named.pop(MERGED, []) if job.collection else spec.get("benchmarks", [])
    known = {index: sha for index, sha in found.items() if index < len(listed) and "test_data_ref" in listed[index]}
    for index, sha in known.items():
        listed[index]["test_data_ref"].setdefault("resolved_sha", sha)
    if job.collection and known:
        spec["collection"] = {"id": named["id"], "benchmarks": listed, **_but(named, "id", "benchmarks")}
    return msgspec.json.encode(spec)


def _but(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


def _message(job: Job, runs: list[Run]) -> Message:
    if job.state is JobState.PENDING and job.updated_at == job.created_at:
        return CREATED
    return job_message(job.state, ((run.benchmark_id, run.status, report_of(run).error_message) for run in runs))


def _status_row(run: Run) -> dict[str, Any]:
    report = report_of(run)
    row: dict[str, Any] = {
        "provider_id": run.provider_id,
        "id": run.benchmark_id,
        "benchmark_index": run.index,
        "status": run.status,
    }
    if report.phase:
        row["phase"] = report.phase
    if report.error_message:
        row["error_message"] = report.error_message
    if report.warning_message:
        row["warning_message"] = report.warning_message
    if report.started_at:
        row["started_at"] = report.started_at
    if report.completed_at:
        row["completed_at"] = report.completed_at
    elif run.finished_at and report.started_at:
        row["completed_at"] = rfc3339(run.finished_at)
    if run.total and run.state in HELD:
        row["progress"] = {"done": run.done, "total": run.total}
    if run.attempts > 1:
        row["attempts"] = run.attempts
    return row


def _result_row(run: Run) -> msgspec.Raw:
    """Return what a run measured, after what it is: the store keeps it in the order and with the members that are shown."""
    head = {"id": run.benchmark_id, "provider_id": run.provider_id, "benchmark_index": run.index}
    return msgspec.Raw(joined(msgspec.json.encode(head), run.result))


def entry_document(entry: Entry, *, benchmarks: bool = True, run_count: int = 0) -> bytes:
    """Return the JSON of a provider or collection, without a final newline."""
    resource = {"id": entry.id}
    if entry.tenant:
        resource["tenant"] = entry.tenant
    resource |= {"created_at": rfc3339(entry.created_at), "updated_at": rfc3339(entry.updated_at)}
    if entry.owner:
        resource["owner"] = entry.owner
    body = entry.body if benchmarks else {**entry.body, "benchmarks": []}
    if pod := body.get("runtime", {}).get("k8s"):
        body = {**body, "runtime": {**body["runtime"], "k8s": _in_both_spellings(pod)}}
    status = {"status": {"run_count": run_count} if run_count else {}} if run_count or "derived_from" in body else {}
    return dump({"resource": resource, **body, **status})


def _in_both_spellings(pod: dict[str, Any]) -> dict[str, Any]:
    """Return `runtime.k8s` as EvalHub's server spells it, and beside it the names of its files."""
    return {POD_NAMES.get(name, name): value for name, value in pod.items()} | {name: pod[name] for name in POD_NAMES}
