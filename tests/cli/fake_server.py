"""The evaluations API in memory, over real HTTP: jobs that change when a client waits for a change."""

from __future__ import annotations

import copy
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Job = dict[str, Any]
Change = Callable[[Job], None]

JOBS = "/api/v1/evaluations/jobs"
ARTIFACT = b'{"acc": 1}'
PROVIDER = {
    "resource": {"id": "practice"},
    "name": "practice",
    "title": "Practice",
    "description": "Small benchmarks.",
    "benchmarks": [
        {
            "id": "arithmetic",
            "dataset_size": 48,
            "primary_score": {"metric": "exact_match"},
            "pass_criteria": {"threshold": 0.6},
        }
    ],
}


class FakeServer:
    """`changes` are applied to a submitted job, one each time somebody waits for it to change; then nothing changes."""

    def __init__(self) -> None:
        self.url = ""
        self.jobs: dict[str, Job] = {}
        self.versions: dict[str, int] = {}
        self.changes: list[Change] = []
        self.submitted: list[Job] = []
        self.cancelled: list[str] = []
        self.deleted: list[str] = []
        self.queries: list[dict[str, list[str]]] = []
        self.headers: list[dict[str, str]] = []
        self.models = ["tiny"]
        self.models_status = 200
        self.providers: dict[str, Job] = {"practice": PROVIDER}
        self.queue: Job = {"items": []}
        self.events: list[Job] = []
        """What a stream tells."""
        self.log = b"first\nsecond"
        self.paused: list[str] = []
        """Webhooks that are paused."""
        self.broken = 0
        """Answer so many of the next requests with 503."""
        self.on_wait: Callable[[], None] = lambda: None

    def add(self, job_id: str, name: str = "job", state: str = "completed") -> Job:
        """Put a job there."""
        job: Job = {
            "resource": {"id": job_id, "created_at": "2026-01-01T00:00:00Z"},
            "status": {"state": state, "benchmarks": []},
            "results": {},
            "name": name,
            "model": {"url": "http://model.example/v1", "name": "m"},
            "benchmarks": [{"provider_id": "practice", "id": "arithmetic"}],
        }
        self.jobs[job_id], self.versions[job_id] = job, 1
        return job

    def submit(self, body: Job) -> Job:
        self.submitted.append(body)
        job = self.add(f"job-{len(self.jobs) + 1}", state="pending")
        job.update(copy.deepcopy(body))
        job["status"]["benchmarks"] = [
            {"provider_id": b["provider_id"], "id": b["id"], "benchmark_index": i, "status": "pending"}
            for i, b in enumerate(body["benchmarks"])
        ]
        return job

    def wait(self, job_id: str) -> bool:
        """Apply the next change, if there is one."""
        self.on_wait()
        if not self.changes:
            return False
        self.changes.pop(0)(self.jobs[job_id])
        self.versions[job_id] += 1
        return True


def running(done: int, total: int) -> Change:
    """The job's first benchmark is so far."""

    def change(job: Job) -> None:
        job["status"]["state"] = "running"
        job["status"]["benchmarks"][0] |= {"status": "running", "progress": {"done": done, "total": total}}

    return change


def finished(score: float = 0.75, threshold: float = 0.6) -> Change:
    """Every benchmark is completed with this score."""

    def change(job: Job) -> None:
        job["status"]["state"] = "completed"
        results = []
        for row in job["status"]["benchmarks"]:
            row.pop("progress", None)
            row["status"] = "completed"
            test = {
                "primary_score": score,
                "primary_score_metric": "exact_match",
                "threshold": threshold,
                "pass": score >= threshold,
            }
            metrics = {"other": 0.5, "exact_match": score, "exact_match_stderr": 0.0625, "n": 48, "n_errored": 2}
            results.append(
                {k: row[k] for k in ("id", "provider_id", "benchmark_index")} | {"metrics": metrics, "test": test}
            )
        job["results"] = {
            "benchmarks": results,
            "test": {"score": score, "threshold": threshold, "pass": score >= threshold},
        }

    return change


def failed(message: str) -> Change:
    """The first benchmark failed."""

    def change(job: Job) -> None:
        job["status"]["state"] = "failed"
        job["status"]["benchmarks"][0] |= {
            "status": "failed",
            "error_message": {"message": message, "message_code": "engine_failed", "message_origin": "runtime"},
        }

    return change


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeServer

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        self.fake.queries.append(parse_qs(parts.query))
        self.fake.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self.fake.broken:
            self.fake.broken -= 1
            self._error(503, "store_unavailable", "The database did not take the change.")
            return
        if parts.path == "/v1/models":
            self._json(self.fake.models_status, {"data": [{"id": name} for name in self.fake.models]})
            return
        if parts.path == "/api/v1/queue":
            self._json(200, self.fake.queue)
            return
        webhook = parts.path.removeprefix("/api/v1/webhooks/").removesuffix("/test")
        if webhook in self.fake.paused:
            self._error(409, "webhook_paused", 'It is paused. Resume it with a PATCH of {"paused": false}.')
            return
        path = [unquote(part) for part in parts.path.removeprefix("/api/v1/evaluations/").split("/")]
        match self.command, path:
            case "POST", ["jobs"]:
                self._submit(json.loads(body))
            case "GET", ["jobs"]:
                self._list(parse_qs(parts.query))
            case "GET", ["stream"]:
                self._stream()
            case "GET", ["providers"]:
                found = list(self.fake.providers.values())
                self._json(200, {"items": found, "total_count": len(found)})
            case "GET", ["providers", name] if name in self.fake.providers:
                self._json(200, self.fake.providers[name])
            case _, ["providers", other]:
                self._error(404, "resource_not_found", f"The provider resource '{other}' was not found.")
            case _, ["jobs", job_id, *rest] if job_id in self.fake.jobs:
                self._job(job_id, rest, parse_qs(parts.query))
            case _, ["jobs", job_id, *_]:
                self._error(404, "resource_not_found", f"The evaluation job resource '{job_id}' was not found.")
            case _:
                self._error(404, "page_not_found", "404 page not found")

    def _submit(self, body: Job) -> None:
        for benchmark in body["benchmarks"]:
            provider = benchmark["provider_id"]
            if provider not in ("practice", "lm_eval"):
                self._error(404, "resource_not_found", f"The provider resource '{provider}' was not found.")
                return
        self._json(202, self.fake.submit(body))

    def _list(self, query: dict[str, list[str]]) -> None:
        wanted = query["status"][0].split(",") if "status" in query else None
        items = [job for job in reversed(self.fake.jobs.values()) if not wanted or job["status"]["state"] in wanted]
        offset, limit = int(query.get("offset", ["0"])[0]), int(query["limit"][0])
        self._json(200, {"items": items[offset : offset + limit], "total_count": len(items), "limit": limit})

    def _job(self, job_id: str, rest: list[str], query: dict[str, list[str]]) -> None:
        fake = self.fake
        match self.command, rest:
            case "GET", []:
                self._document(job_id)
            case "DELETE", []:
                if query.get("hard_delete") == ["true"]:
                    fake.deleted.append(job_id)
                elif fake.jobs[job_id]["status"]["state"] == "completed":
                    text = f"The job {job_id} can not be cancelled because it is 'completed'."
                    self._error(409, "job_can_not_be_updated", text)
                    return
                else:
                    fake.cancelled.append(job_id)
                self._json(204, None)
            case "GET", ["stream"]:
                self._stream()
            case "GET", [*_, "logs"]:
                self._bytes(200, fake.log, "text/plain; charset=utf-8")
            case "GET", [*_, "artifacts"]:
                item = {"name": "results.json", "size": len(ARTIFACT), "media_type": "application/json"}
                self._json(200, {"items": [item | {"digest": f"sha256:{hashlib.sha256(ARTIFACT).hexdigest()}"}]})
            case "GET", [*_, "artifacts", "results.json"]:
                self._bytes(200, ARTIFACT, "application/json")

    def _stream(self) -> None:
        told = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in self.fake.events]
        self._bytes(200, "".join(told).encode(), "text/event-stream")

    def _document(self, job_id: str) -> None:
        tag = self.headers.get("If-None-Match")
        if tag == f'"{self.fake.versions[job_id]}"' and not self.fake.wait(job_id):
            self._bytes(304, b"", "")
            return
        self._json(200, self.fake.jobs[job_id], {"ETag": f'"{self.fake.versions[job_id]}"'})

    def _error(self, status: int, code: str, message: str) -> None:
        self._json(status, {"message_code": code, "message": message, "trace": "trace-1"})

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        content = b"" if value is None else json.dumps(value).encode()
        self._bytes(status, content, "application/json", headers)

    def _bytes(self, status: int, content: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _serve

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def fake_server() -> Iterator[FakeServer]:
    """Run one."""
    fake = FakeServer()
    handler = type("Handler", (_Handler,), {"fake": fake})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
