"""Things that exist, for cases to be about: one of everything, and a job in each state that it may be found in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.server.acting import Held, Worker, framed
from tests.server.client import JOBS, PROVIDERS, Api, job_body, unique

COLLECTIONS = "/api/v1/evaluations/collections"
_DATA = {"git": {"url": "https://example.com/r.git", "ref": "main"}}
_MESSAGE = {"message": "said", "message_code": "said", "message_origin": "sdk"}


def existing(api: Api, end: str = "completed") -> dict[str, str]:
    """Make one of everything, and a job that has come to `end`; return the ids by the names that they have in paths."""
    name = unique("p")
    made = api.post(PROVIDERS, {"name": name, "benchmarks": [{"id": "b0"}]})
    collection = {"name": name, "category": "c", "benchmarks": [{"id": "b0", "provider_id": "manual"}]}
    kept = api.post(COLLECTIONS, collection)
    hook = api.post("/api/v1/webhooks", {"url": "https://hooks.invalid/", "names": [name]})
    worker = Worker(api)
    of_job = ENDS[end](api, worker)
    return {
        "benchmark_index": "0",
        "provider_id": made.json["resource"]["id"],
        "collection_id": kept.json["resource"]["id"],
        "worker": worker.name,
        "incarnation": worker.incarnation,
        "webhook_id": hook.json["resource"]["id"],
        "digest": f"sha256:{'0' * 64}",
        **of_job,
    }


# Every job here has ended, so that a log which is followed ends, too.


def _completed(api: Api, worker: Worker) -> dict[str, str]:
    job_id = api.submit()
    assert api.report(job_id, "completed", metrics={"a": 1}).status == 204
    return {"job_id": job_id}


def _failed(api: Api, worker: Worker) -> dict[str, str]:
    job_id = api.submit()
    assert api.report(job_id, "running", phase="loading_data", warning_message=_MESSAGE).status == 204
    assert api.report(job_id, "failed", error_message=_MESSAGE).status == 204
    return {"job_id": job_id}


def _failed_in_part(api: Api, worker: Worker) -> dict[str, str]:
    """A collection's job whose test data were found."""
    judged = {"primary_score": {"metric": "a"}, "pass_criteria": {"threshold": 0.5}}
    listed = [{"id": name, "provider_id": "manual", "test_data_ref": _DATA, **judged} for name in ("b0", "b1")]
    made = api.post(COLLECTIONS, {"name": unique("c"), "category": "c", "benchmarks": listed}).json
    job_id = api.submit(benchmarks=[], collection={"id": made["resource"]["id"]})
    found = {"resolved_sha": "abcdef1"}
    assert api.report(job_id, "completed", metrics={"a": "no number"}, job_meta=found).status == 204
    other = api.report(job_id, "failed", benchmark="b1", benchmark_index=1, error_message=_MESSAGE)
    assert other.status == 204
    return {"job_id": job_id}


def _judged(api: Api, worker: Worker) -> dict[str, str]:
    score = {"metric": "a", "lower_is_better": True}
    both = [
        {"id": "b0", "provider_id": "manual", "primary_score": score, "pass_criteria": {"threshold": threshold}}
        for threshold in (1, 0)
    ]
    job_id = api.submit(benchmarks=both)
    for index, value in enumerate((0.5, 250)):
        assert api.report(job_id, "completed", benchmark_index=index, metrics={"a": value}).status == 204
    return {"job_id": job_id}


def _cancelled(api: Api, worker: Worker) -> dict[str, str]:
    job_id = api.submit("b0", "b1")
    assert api.report(job_id, "running").status == 204
    assert api.delete(f"{JOBS}/{job_id}").status == 204
    return {"job_id": job_id}


def _carried_out(api: Api, worker: Worker) -> dict[str, str]:
    """A job that a worker has carried out, when it had come back from a restart, with a log and an artifact."""
    lost = worker.take(api)
    worker.incarnation = unique()
    assert worker.register().status == 200
    (lease,) = [one for one in worker.lease(free=100).json["leases"] if one["run_id"] == lost.run_id]
    held = Held(worker, lease["run_id"], lease["job_id"], lease["fence"])
    assert held.start().status == 204
    assert worker.beat(held, done=1, total=2).status == 200
    assert held.append(0, framed("a line")).status == 200
    reference = held.put("samples.jsonl", b"{}\n").json
    assert held.end("completed", metrics={"a": 1}, artifacts=[reference]).status == 204
    return {"job_id": held.job_id, "name": "samples.jsonl", "digest": reference["digest"]}


ENDS: dict[str, Callable[[Api, Worker], dict[str, str]]] = {
    "completed": _completed,
    "failed": _failed,
    "failed in part": _failed_in_part,
    "judged": _judged,
    "cancelled": _cancelled,
    "carried out": _carried_out,
}


def open_job(api: Api) -> dict[str, str]:
    """Return the ids of a job that waits, with a benchmark of its."""
    reply = api.post(JOBS, job_body("b0", "b1"))
    assert reply.status == 202, reply.text
    return {"job_id": reply.json["resource"]["id"], "benchmark_index": "0"}


def name_benchmarks(body: dict[str, Any]) -> None:
    """Let a body name benchmarks that exist."""
    listed = body.get("benchmarks")
    event = body.get("benchmark_status_event")
    for item in [event, *(listed if isinstance(listed, list) else [])]:
        if isinstance(item, dict) and all(isinstance(item.get(name), str) and item[name] for name in ("provider_id", "id")):
            item |= {"provider_id": "manual", "id": "b0"}
    if isinstance(event, dict) and type(event.get("benchmark_index")) is int and event["benchmark_index"] > 0:
        event["benchmark_index"] = 0
