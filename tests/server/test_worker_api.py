"""What workers call: only with the key, only with the fence of the present lease, and any call may be repeated."""

from __future__ import annotations

import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import pytest

from assay.model.protocol import FENCE_HEADER, STARTED_HEADER
from assay.server.routes import Scope
from assay.server.table import ROUTES
from tests.evalhub.live import until
from tests.server.acting import FIRST, KEY, Worker, framed
from tests.server.client import JOBS, Api, Reply
from tests.server.scrape import Scrape

ONLY_WORKERS = [
    (route.method, route.path.format(worker="w", run_id="r", name="n", digest="d"))
    for route in ROUTES
    if route.scope is Scope.WORK
]


@pytest.mark.parametrize(("method", "path"), ONLY_WORKERS)
@pytest.mark.parametrize("key", ["", "Bearer ", "Bearer wrong", "Basic a2V5", "Bearer ключ", "bearer"])
def test_nobody_else_may_call(api: Api, method: str, path: str, key: str) -> None:
    headers: dict[str, Any] = {"Authorization": key.encode()} if key else {}
    reply = api.call(method, path, {}, headers)
    assert (reply.status, reply.code) == (401, "unauthorized")


@pytest.mark.parametrize(("method", "path"), [one for one in ONLY_WORKERS if one[0] != "GET"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"fence":"x"}', b'{"fence":99999999999999999999}', b"\xff"])
def test_a_body_that_is_none_is_refused(api: Api, worker: Worker, method: str, path: str, body: bytes) -> None:
    assert worker.api.call(method, path, body).status in (400, 409)


def test_a_lease_carries_all_that_the_worker_needs(api: Api, worker: Worker) -> None:
    parameters = {"num_examples": 3, "x": [1]}
    job_id = api.submit(benchmarks=[{"id": "b0", "provider_id": "manual", "parameters": parameters}], priority=FIRST)
    (lease,) = worker.lease().json["leases"]
    assert (lease["job_id"], lease["index"], lease["attempt"], lease["fence"]) == (job_id, 0, 1, 1)
    plan = lease["plan"]
    assert (plan["provider_id"], plan["benchmark_id"], plan["engine"]) == ("manual", "b0", "adapter")
    assert plan["parameters"] == parameters
    assert plan["model"]["url"] == "http://m.example/v1"
    assert lease["context"]["num_examples"] == 3


def test_a_run_is_leased_once(api: Api, worker: Worker) -> None:
    ids = {api.submit(priority=FIRST) for _ in range(4)}
    other = Worker(api)
    leased = [lease["job_id"] for lease in (*worker.lease(2).json["leases"], *other.lease(2).json["leases"])]
    assert sorted(leased) == sorted(ids)


def test_the_highest_priority_comes_first_then_the_oldest(api: Api, worker: Worker) -> None:
    old, new, high = api.submit(priority=FIRST), api.submit(priority=FIRST), api.submit(priority=FIRST + 1)
    assert [lease["job_id"] for lease in worker.lease(3).json["leases"]] == [high, old, new]


def test_a_waiting_worker_is_given_a_run_when_it_is_submitted(api: Api) -> None:
    worker = Worker(api)
    while worker.lease(100).json["leases"]:
        pass  # nothing else waits now
    answers: list[Reply] = []
    waiting = threading.Thread(target=lambda: answers.append(worker.lease(wait_s=25)))
    waiting.start()
    job_id = api.submit()
    waiting.join(40)
    assert [lease["job_id"] for lease in answers[0].json["leases"]] == [job_id]


def test_a_worker_that_has_hung_up_is_given_nothing(api: Api) -> None:
    gone, there = Worker(api), Worker(api)
    while there.lease(100).json["leases"]:
        pass  # nothing else waits now

    def answering() -> float:
        return Scrape.of(api).value("assay_http_active_requests") - 1

    calls = [gone.waiting() for _ in range(3)]
    until(lambda: answering() == 3, "three calls that wait")
    for call in calls:
        call.close()
    until(lambda: answering() == 0, "that nobody waits any more")
    job_id = api.submit(priority=FIRST)
    (lease,) = there.lease().json["leases"]
    assert (lease["job_id"], lease["attempt"]) == (job_id, 1)


def test_a_worker_that_registered_again_elsewhere_is_told(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    worker.incarnation, old = "another", worker.incarnation
    assert worker.register().status == 200
    worker.incarnation = old
    for reply in (worker.lease(), worker.beat(held)):
        assert (reply.status, reply.code) == (409, "unknown_worker")
    assert held.start().code == "stale_fence"


def test_a_started_run_is_running_and_starting_twice_is_harmless(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    assert api.job(held.job_id)["status"]["state"] == "pending"
    assert [held.start().status, held.start().status] == [204, 204]
    (row,) = api.job(held.job_id)["status"]["benchmarks"]
    assert (row["status"], "started_at" in row) == ("running", True)


@pytest.mark.parametrize("fence", [0, 2, 10**17])
def test_a_stale_fence_is_refused_everywhere(api: Api, worker: Worker, fence: int) -> None:
    held = worker.take(api)
    replies = [
        held.post("start", {"fence": fence}),
        held.post("end", {"fence": fence, "outcome": "completed"}),
        held.append(0, framed("x"), fence),
        held.put("a.txt", b"x", fence),
    ]
    assert {(reply.status, reply.code) for reply in replies} == {(409, "stale_fence")}
    assert api.job(held.job_id)["status"]["state"] == "pending"
    assert api.get(f"{JOBS}/{held.job_id}/benchmarks/0/logs").body == b""


def test_a_heartbeat_shows_progress_and_names_what_must_stop(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    held.start()
    assert worker.beat(held, done=3, total=10, phase="running_evaluation").json == {"stop": [], "state": "active"}
    (row,) = api.job(held.job_id)["status"]["benchmarks"]
    assert (row["progress"], row["phase"]) == ({"done": 3, "total": 10}, "running_evaluation")
    api.delete(f"{JOBS}/{held.job_id}")
    assert worker.beat(held).json == {"stop": [held.run_id], "state": "active"}


def test_a_cancelled_run_interrupts_the_wait_of_its_worker(api: Api) -> None:
    worker = Worker(api)
    held = worker.take(api)
    answers: list[Reply] = []
    waiting = threading.Thread(target=lambda: answers.append(worker.lease(free=0, wait_s=25)))
    waiting.start()
    api.delete(f"{JOBS}/{held.job_id}")
    waiting.join(40)
    assert answers[0].json["check"] is True or worker.beat(held).json["stop"] == [held.run_id]


@pytest.mark.parametrize("outcome", ["completed", "failed"])
def test_an_end_counts_once(api: Api, worker: Worker, outcome: str) -> None:
    held = worker.take(api)
    held.start()
    assert held.end(outcome, metrics={"a": 1}, code="c", message="m").status == 204
    before = api.job(held.job_id)
    assert before["status"]["state"] == outcome
    assert held.end("completed", metrics={"a": 2}).status == 409
    assert api.job(held.job_id) == before


def test_an_end_brings_the_next_run_if_it_asks_and_a_start_that_nobody_has_told(api: Api, worker: Worker) -> None:
    held, job_id = worker.take(api), api.submit(priority=FIRST)
    ask = {"worker": worker.name, "incarnation": worker.incarnation, "free": 1}
    reply = held.end("completed", metrics={"a": 1}, job_id=held.job_id, started_ms=250, ask=ask)
    assert reply.status == 200
    assert [lease["job_id"] for lease in reply.json["leases"]] == [job_id]
    (row,) = api.job(held.job_id)["status"]["benchmarks"]
    assert row["status"] == "completed"
    assert row["started_at"] < row["completed_at"]
    assert held.end("completed", ask=ask).code == "stale_fence"


def test_an_end_that_asks_is_answered_at_once_where_there_is_nothing(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    ask = {"worker": worker.name, "incarnation": "of another life", "free": 1}
    reply = held.end("completed", metrics={"a": 1}, ask=ask)
    assert (reply.status, reply.body) == (204, b"")
    assert api.job(held.job_id)["status"]["state"] == "completed"


def test_an_adapters_report_brings_a_start_that_nobody_has_told(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    event = {"id": "b0", "provider_id": "manual", "benchmark_index": 0, "status": "completed"}
    headers = {FENCE_HEADER: str(held.fence), STARTED_HEADER: f"{held.run_id} 1500"}
    path = f"{JOBS}/{held.job_id}/events"
    assert worker.api.call("POST", path, {"benchmark_status_event": event}, headers).status == 204
    (row,) = api.job(held.job_id)["status"]["benchmarks"]
    assert row["status"] == "completed"
    assert row["started_at"] < row["completed_at"]
    types = [event["type"] for event in api.get(f"{JOBS}/{held.job_id}/history").json["items"]]
    assert [one for one in types if one.startswith("run.")] == ["run.leased", "run.running", "run.completed"]
    for value in (held.run_id, f"{held.run_id} x", f"{held.run_id} -1"):
        refused = worker.api.call("POST", path, {"benchmark_status_event": event}, headers | {STARTED_HEADER: value})
        assert (refused.status, STARTED_HEADER in refused.json["message"]) == (400, True)


def test_an_adapter_reports_on_its_own_benchmark_only(api: Api, worker: Worker) -> None:
    benchmarks = [{"id": "b0", "provider_id": "manual"}, {"id": "b1", "provider_id": "manual"}]
    held = worker.take(api, benchmarks=benchmarks)
    adapter = api.as_(authorization=f"Bearer {KEY}", x_assay_fence=str(held.fence), x_assay_run=held.run_id)
    foreign = adapter.report(held.job_id, "completed", benchmark="b1", benchmark_index=1, metrics={"acc": 0.123})
    assert (foreign.status, foreign.code) == (403, "foreign_benchmark")
    assert adapter.report(held.job_id, "completed", benchmark="b0", benchmark_index=0).status == 204
    assert [row["status"] for row in api.job(held.job_id)["status"]["benchmarks"]] == ["completed", "pending"]


def test_a_temporary_failure_is_tried_again_and_the_last_one_counts(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    assert held.end("failed", temporary=True, code="busy", message="m").status == 204
    assert api.job(held.job_id)["status"]["state"] == "pending"


def test_an_outcome_that_is_none_is_refused(api: Api, worker: Worker) -> None:
    reply = worker.take(api).end("fine")
    assert (reply.status, "completed" in reply.message) == (400, True)


def test_log_lines_are_taken_once_however_often_they_are_sent(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    first, second = framed("one", "two"), framed("three")
    assert held.append(0, first).json == {"size": len(first)}
    assert held.append(0, first).json == {"size": len(first)}
    assert held.append(0, first + second).json == {"size": len(first + second)}
    assert held.append(len(first + second) + 5, b"gap").json == {"size": len(first + second)}
    assert api.get(f"{JOBS}/{held.job_id}/benchmarks/0/logs").text.split() == ["one", "two", "three"]


def test_an_artifact_is_kept_and_can_be_downloaded(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    data = bytes(range(256)) * 1000
    stored = held.put("samples.jsonl", data, content_type="application/x-ndjson")
    assert stored.status == 201
    assert stored.json["size"] == len(data)
    assert held.end("completed", artifacts=[stored.json]).status == 204
    base = f"{JOBS}/{held.job_id}/benchmarks/0/artifacts"
    assert [item["name"] for item in api.get(base).json["items"]] == ["samples.jsonl"]
    reply = api.get(f"{base}/samples.jsonl")
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, data, "application/x-ndjson")
    assert reply.headers["content-disposition"] == 'attachment; filename="samples.jsonl"'
    for missing in (
        f"{base}/other",
        f"{JOBS}/{held.job_id}/benchmarks/9/artifacts",
        f"{JOBS}/{held.job_id}/benchmarks/x/artifacts",
        f"{JOBS}/{held.job_id}/benchmarks/{'9' * 5000}/artifacts",
    ):
        assert api.get(missing).status == 404


def test_a_worker_that_hangs_up_in_the_middle_of_an_artifact_is_no_failure_of_the_server(api: Api, worker: Worker) -> None:
    held, parts = worker.take(api), urlsplit(api.url)
    place = {"route": "/api/v1/runs/{run_id}/artifacts/{name}", "method": "PUT"}

    def answered(status: str) -> float:
        return Scrape.of(api).value("assay_http_requests_total", status=status, **place)

    refused, failed = answered("400"), answered("500")
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        line = f"PUT /api/v1/runs/{held.run_id}/artifacts/a.txt?fence={held.fence} HTTP/1.1"
        fields = f"Host: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 1000"
        connection.sendall(f"{line}\r\n{fields}\r\n\r\nonly the beginning".encode())
    until(lambda: answered("400") > refused or answered("500") > failed, "the end of the request")
    assert answered("500") == failed


@pytest.mark.parametrize("name", ["..", ".hidden", "a%20b", "a%0Ab", "%C3%BC", "x" * 201, "name%0A"])
def test_an_artifact_has_a_name_that_a_file_may_have(api: Api, worker: Worker, name: str) -> None:
    assert worker.take(api).put(name, b"x").status in (307, 400)


@pytest.mark.parametrize("media_type", ["text/html", "image/svg+xml", "text/plain\tx"])
def test_an_artifact_cannot_become_a_page_of_the_server(api: Api, worker: Worker, media_type: str) -> None:
    held = worker.take(api)
    stored = held.put("page.html", b"<script>alert(1)</script>", content_type=media_type)
    held.end("completed", artifacts=[stored.json])
    reply = api.get(f"{JOBS}/{held.job_id}/benchmarks/0/artifacts/page.html")
    assert reply.headers["content-disposition"].startswith("attachment")
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_an_end_cannot_name_bytes_that_were_never_uploaded(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    made_up = {"name": "a", "digest": "sha256:../../../../etc/passwd", "size": 1}
    assert held.end("completed", artifacts=[made_up]).status == 400
    assert held.end("completed").status == 204
    assert api.get(f"{JOBS}/{held.job_id}/benchmarks/0/artifacts/a").status == 404
