"""For every answer that the API's description names, a request that is answered so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from assay.server import examples
from assay.server.routes import Route, Scope
from tests.server.access.keyed import Keyed
from tests.server.acting import KEY, Worker
from tests.server.client import Api, job_body, unique
from tests.server.standing import existing

ELSEWHERE = {408, 429, 503}
"""Statuses that need a slow client, a full queue or a broken database: other tests see to those."""


def elsewhere(route: Route, status: int) -> bool:
    """Say whether other tests see to an answer. An open route is forbidden only to addresses that are not allowed at all."""
    return status in ELSEWHERE or (status == 403 and route.scope is Scope.OPEN)


@dataclass
class Asked:
    """A request: the parts of a case."""

    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


def request_for(route: Route, status: int, api: Api) -> Asked:
    """Return a request to `route` that is answered with `status`."""
    special = _SPECIAL.get((route.name, status))
    asked = special(api) if special else _General(route, api).asked(status)
    if status == 401:
        asked.headers["Authorization"] = "Bearer assay_000000000000_" + "0" * 64
    elif route.scope is Scope.WORK:
        asked.headers |= {"Authorization": f"Bearer {KEY}"}
    return asked


def request_with_key(route: Route, status: int, keyed: Keyed) -> Asked:
    """Return a request to a server that asks for keys which is answered with `status`: for routes that need one in any case,
    and for the refusals of those that a caller without a key may read."""
    if status == 403:
        return Asked(dict.fromkeys(_IDS, "nope"), headers=dict(keyed.as_("nothing").headers), body=route.example)
    asked = request_for(route, status, keyed.api)
    if status not in (401, 404):
        asked.path["key_id"] = keyed.make("viewer")["id"]
    return Asked(asked.path, asked.query, {**({} if status == 401 else keyed.admin.headers), **asked.headers}, asked.body)


def needs_keys(route: Route, status: int) -> bool:
    """Say whether only a server that has keys answers so."""
    return route.scope is Scope.KEYS_MANAGE or (status == 403 and route.method == "GET")


@dataclass
class _General:
    """What is answered alike wherever it is asked."""

    route: Route
    api: Api

    def asked(self, status: int) -> Asked:
        asked = Asked(dict.fromkeys(_IDS, "nope") | {"benchmark_index": "0"}, body=self.route.example)
        if status not in (401, 404) and not needs_keys(self.route, status):
            asked.path |= existing(self.api)
        if status == 400:
            asked.headers["X-Tenant"] = "t" * 257
        elif status == 403:
            asked.headers["Origin"] = "http://elsewhere.example"
        elif status == 413:
            asked.body = b" " * ((10 << 20) + 1)
        return asked


_IDS = (
    "job_id", "benchmark_index", "provider_id", "collection_id", "worker", "digest", "run_id", "name", "key_id",
    "webhook_id",
)  # fmt: skip
_EVENT = {"benchmark_status_event": {"provider_id": "manual", "id": "b0", "status": "running"}}


def _pending(api: Api, **members: Any) -> Asked:
    return Asked({"job_id": api.submit(), "benchmark_index": "0"}, **members)


def _unchanged(api: Api) -> Asked:
    asked = Asked(existing(api))
    etag = api.get(f"/api/v1/evaluations/jobs/{asked.path['job_id']}").headers["etag"]
    asked.headers["If-None-Match"] = etag
    return asked


def _repeated(api: Api) -> Asked:
    key = unique("key")
    assert api.post("/api/v1/evaluations/jobs", job_body(), idempotency_key=key).status == 202
    return Asked(headers={"Idempotency-Key": key}, body=job_body(name="another"))


def _with_artifact(api: Api) -> Asked:
    held = Worker(api).take(api)
    reference = held.put("a.txt", b"text").json
    assert held.end("completed", artifacts=[reference]).status == 204
    return Asked({"job_id": held.job_id, "benchmark_index": "0", "name": "a.txt"})


def _paused(api: Api) -> Asked:
    webhook = existing(api)["webhook_id"]
    assert api.call("PATCH", f"/api/v1/webhooks/{webhook}", {"paused": True}).status == 200
    return Asked({"webhook_id": webhook})


def _blob(**headers: str) -> Callable[[Api], Asked]:
    def make(api: Api) -> Asked:
        return Asked({"digest": Worker(api).take(api).put("a.txt", b"text").json["digest"]}, headers=dict(headers))

    return make


def _of_worker(api: Api, incarnation: str = "", free: int = 0) -> Asked:
    worker = Worker(api)
    body = {"incarnation": incarnation or worker.incarnation, "free": free, "wait_s": 0, "holding": []}
    return Asked({"worker": worker.name}, body=body)


def _of_worker_that_left(api: Api) -> Asked:
    worker = Worker(api)
    assert worker.leave().status == 200
    return Asked({"worker": worker.name})


def _of_run(body: Any = None, **query: Any) -> Callable[[Api], Asked]:
    def make(api: Api) -> Asked:
        held = Worker(api).take(api)
        of_body = {"fence": held.fence} | body if isinstance(body, dict) else body
        asked_query = {"fence": held.fence} | query if isinstance(body, bytes) else {}
        return Asked({"run_id": held.run_id, "name": "a.txt"}, asked_query, body=of_body)

    return make


def _ended_while_another_waits(api: Api) -> Asked:
    worker = Worker(api)
    held = worker.take(api)
    api.submit()
    asking = {"worker": worker.name, "incarnation": worker.incarnation}
    return Asked({"run_id": held.run_id}, body={"fence": held.fence, "outcome": "completed", "ask": asking})


def _lost(body: Any) -> Callable[[Api], Asked]:
    query = {"fence": 1} if isinstance(body, bytes) else {}
    return lambda api: Asked({"run_id": "nope", "name": "a.txt"}, dict(query), body=body)


_SPECIAL: dict[tuple[str, int], Callable[[Api], Asked]] = {
    ("getJob", 304): _unchanged,
    ("submitJob", 202): lambda api: Asked(body=job_body()),
    ("submitJob", 404): lambda api: Asked(body=job_body(provider="nobody")),
    ("submitJob", 422): _repeated,
    ("reportBenchmark", 204): lambda api: _pending(api, body=_EVENT),
    ("reportBenchmark", 409): lambda api: Asked(existing(api), body=_EVENT),
    ("deleteJob", 204): _pending,
    ("cancelBenchmark", 204): _pending,
    ("cleanup", 200): lambda api: Asked(query={"dry_run": "true"}),
    ("getArtifact", 200): _with_artifact,
    ("testWebhook", 409): _paused,
    ("registerWorker", 409): lambda api: Asked(body=examples.REGISTRATION | {"protocol": 1}),
    ("getBlob", 200): _blob(),
    ("getBlob", 206): _blob(Range="bytes=1-"),
    ("getBlob", 404): lambda api: Asked({"digest": "nope"}),
    ("leaseRuns", 200): _of_worker,
    ("leaseRuns", 409): lambda api: _of_worker(api, "earlier", free=1),
    ("heartbeat", 200): _of_worker,
    ("heartbeat", 409): lambda api: _of_worker(api, "earlier"),
    ("forgetWorker", 204): _of_worker_that_left,
    ("startRun", 204): _of_run({}),
    ("startRun", 409): _lost(examples.START),
    ("endRun", 200): _ended_while_another_waits,
    ("endRun", 204): _of_run({"outcome": "completed"}),
    ("endRun", 409): _lost(examples.ENDING),
    ("appendLog", 200): _of_run(b"1 line\n", offset=0),
    ("appendLog", 409): _lost(b"1 line\n"),
    ("appendLog", 413): _of_run(b"1" * ((10 << 20) + 1)),
    ("putArtifact", 201): _of_run(b"text"),
    ("putArtifact", 409): _lost(b"text"),
}
