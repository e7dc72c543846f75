"""What operators see of workers, and how they direct them."""

from __future__ import annotations

import threading

import pytest

from assay import __version__
from assay.model.protocol import PROTOCOL
from tests.server.acting import FIRST, KEY, Worker
from tests.server.client import Api, Reply, unique

WORKERS = "/api/v1/workers"


def registration(**members: object) -> dict[str, object]:
    base = {"name": unique("worker"), "incarnation": "1", "slots": 2, "engines": {"adapter": "1"}, "protocol": PROTOCOL}
    return base | members


@pytest.mark.parametrize("protocol", [0, 1, PROTOCOL + 1, None])
def test_a_worker_of_another_protocol_is_refused_with_the_remedy(api: Api, protocol: int | None) -> None:
    body = registration(protocol=protocol, version="0.0.1")
    if protocol is None:
        del body["protocol"]
    reply = api.as_(authorization=f"Bearer {KEY}").post(WORKERS, body)
    assert (reply.status, reply.code) == (409, "worker_protocol_mismatch")
    assert f"Install Assay {__version__}" in reply.message
    assert "0.0.1" in reply.message
    assert api.get(f"{WORKERS}/{body['name']}").status == 404


@pytest.mark.parametrize("labels", [{"": "x"}, {"a b": "x"}, {"a": "x=y"}, {"a": "x" * 64}, {str(i): "" for i in range(65)}])
def test_labels_that_are_none_are_refused(api: Api, labels: dict[str, str]) -> None:
    reply = api.as_(authorization=f"Bearer {KEY}").post(WORKERS, registration(labels=labels))
    assert (reply.status, reply.code) == (400, "bad_request")
    assert "label" in reply.message
    job = api.call(
        "POST",
        "/api/v1/evaluations/jobs",
        {"name": "j", "model": {"name": "m", "url": "http://m.example"}}
        | {"benchmarks": [{"id": "b0", "provider_id": "manual", "resources": {"labels": labels}}]},
    )
    assert (job.status, "resources.labels" in job.message) == (400, True)


def test_what_a_worker_announces_is_shown(api: Api) -> None:
    gpu = {"id": "0", "name": "NVIDIA H200", "memory": 150_000_000_000}
    body = registration(cpus=8, memory=1 << 40, gpus=[gpu], labels={"site": "berlin"}, version="1.2")
    terms = api.as_(authorization=f"Bearer {KEY}").post(WORKERS, body)
    assert (terms.json["protocol"], terms.json["state"]) == (PROTOCOL, "active")
    shown = api.get(f"{WORKERS}/{body['name']}").json
    assert {name: shown[name] for name in ("cpus", "memory", "gpus", "labels", "version", "slots", "engines")} == {
        name: body[name] for name in ("cpus", "memory", "gpus", "labels", "version", "slots", "engines")
    }
    assert (shown["state"], shown["alive"], shown["held"], shown["runs"]) == ("active", True, 0, [])
    del shown["runs"]
    assert shown in api.get(WORKERS).json["items"]


def test_a_worker_shows_the_runs_of_the_callers_tenant_only(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    worker.beat(held, done=1, total=4)
    shown = api.get(f"{WORKERS}/{worker.name}").json
    (run,) = shown["runs"]
    assert (run["job_id"], run["run_id"], run["done"], run["total"]) == (held.job_id, held.run_id, 1, 4)
    stranger = api.as_(x_tenant="somebody-else").get(f"{WORKERS}/{worker.name}").json
    assert (stranger["held"], stranger["runs"]) == (1, [])


@pytest.mark.parametrize(("verb", "state"), [("pause", "paused"), ("drain", "draining")])
def test_a_worker_that_is_taken_out_of_service_gets_no_more_runs(api: Api, verb: str, state: str) -> None:
    worker = Worker(api)
    held = worker.take(api)
    assert api.post(f"{WORKERS}/{worker.name}/{verb}", {}).json["state"] == state
    job_id = api.submit(priority=FIRST + 1)
    assert worker.lease(9).json["leases"] == []
    assert worker.beat(held).json == {"stop": [], "state": state}
    assert held.end("completed").status == 204
    assert api.post(f"{WORKERS}/{worker.name}/resume", {}).json["state"] == "active"
    assert job_id in [lease["job_id"] for lease in worker.lease(9).json["leases"]]


def test_a_waiting_worker_hears_at_once_that_it_is_drained(api: Api) -> None:
    worker = Worker(api)
    while worker.lease(100).json["leases"]:
        pass  # nothing else waits now
    answers: list[Reply] = []
    waiting = threading.Thread(target=lambda: answers.append(worker.lease(wait_s=25)))
    waiting.start()
    api.post(f"{WORKERS}/{worker.name}/drain", {})
    waiting.join(40)
    assert answers[0].json["check"] or answers[0].json["state"] == "draining"
    assert worker.lease(wait_s=25).json == {"leases": [], "check": False, "state": "draining"}


def test_a_drain_stands_until_a_process_says_that_it_has_ended_as_told(api: Api) -> None:
    worker = Worker(api)
    path = f"{WORKERS}/{worker.name}"
    assert api.post(f"{path}/drain", {}).json["state"] == "draining"
    for incarnation in (worker.incarnation, "another"):
        worker.incarnation = incarnation
        assert worker.register().json["state"] == "draining"
    assert worker.leave().json == {"stop": [], "state": "drained"}
    shown = api.get(path).json
    assert (shown["state"], shown["alive"]) == ("drained", False)
    assert api.post(f"{path}/drain", {}).json["state"] == "drained"
    assert {reply.code for reply in (worker.lease(), worker.beat(), worker.leave())} == {"unknown_worker"}
    worker.incarnation = "the next"
    assert worker.register().json["state"] == "active"
    assert api.get(path).json["alive"] is True


def test_a_worker_is_forgotten_once_it_is_gone_and_not_before(api: Api) -> None:
    worker = Worker(api)
    path, held = f"{WORKERS}/{worker.name}", worker.take(api)
    refused = api.delete(path)
    assert (refused.status, refused.code) == (409, "worker_in_use")
    assert f"`assay workers drain {worker.name}`" in refused.message
    assert held.end("completed").status == 204
    assert worker.leave().status == 200
    assert api.delete(path).status == 204
    assert api.get(path).status == 404
    assert worker.name not in [item["name"] for item in api.get(WORKERS).json["items"]]
    assert (api.delete(path).status, worker.beat().code) == (404, "unknown_worker")


def test_a_worker_without_an_incarnation_is_refused(api: Api) -> None:
    reply = api.as_(authorization=f"Bearer {KEY}").post(WORKERS, registration(incarnation=""))
    assert (reply.status, "incarnation" in reply.message) == (400, True)


def test_a_worker_that_is_not_there_is_not_found(api: Api) -> None:
    for verb in ("", "/drain", "/pause", "/resume"):
        reply = api.call("POST" if verb else "GET", f"{WORKERS}/nobody{verb}")
        assert (reply.status, reply.code) == (404, "resource_not_found")


def test_a_run_that_asks_for_gpus_goes_only_where_they_are_free(api: Api) -> None:
    worker = Worker(api)
    benchmark = {"id": "b0", "provider_id": "manual", "resources": {"gpus": 2, "labels": {}}}
    job_id = api.submit(benchmarks=[benchmark], priority=FIRST + 1)
    assert job_id not in [lease["job_id"] for lease in worker.lease(1).json["leases"]]
    (lease,) = worker.lease(1, gpus=2).json["leases"]
    assert (lease["job_id"], lease["plan"]["resources"]) == (job_id, {"gpus": 2})
