"""Status events: what they may hold, and what they do to a job."""

from __future__ import annotations

from typing import Any

import pytest

from assay.model.protocol import FENCE_HEADER, STARTED_HEADER
from tests.evalhub.galleries import failed, label
from tests.server.acting import Worker
from tests.server.client import JOBS, Api, Reply, job_body, unique

COLLECTIONS = "/api/v1/evaluations/collections"

INVALID: list[tuple[dict[str, Any], str | tuple[str, ...]]] = [
    ({"status": "cancelled"}, "status must be one of: pending, running, completed, failed"),
    ({"status": "partially_failed"}, "status must be one of: pending, running, completed, failed"),
    (
        {"phase": "x"},
        "phase must be one of: initializing, loading_data, running_evaluation, post_processing, persisting_artifacts, "
        "completed",
    ),
    *(
        ({"started_at": time}, ("started_at", "datetime"))
        for time in ("yesterday", "2026-01-01T00:00:00", "2026-02-30T00:00:00Z")
    ),
    ({"completed_at": "2026-01-01"}, ("completed_at", "datetime")),
    ({"error_message": {}}, ("error_message.message", "required", "error_message.message_code", "required")),
    ({"warning_message": {"message": "m"}}, ("warning_message.message_code", "required")),
    (
        {"metrics_schema": [{"name": "a", "type": "numeric"}]},
        ("metrics_schema[0].name", "metrics_schema_name_not_in_metrics"),
    ),
    (
        {"metrics": {"a": 1}, "metrics_schema": [{"name": "b", "type": "numeric"}]},
        ("metrics_schema[0].name", "metrics_schema_name_not_in_metrics"),
    ),
    (
        {"metrics": {"a": 1}, "metrics_schema": [{"name": "a", "type": "numeric"}] * 2},
        ("metrics_schema", "metrics_schema_duplicate_name"),
    ),
    (
        {"metrics": {"a": 1}, "metrics_schema": [{"name": "a", "type": "x"}]},
        "type must be one of: numeric, categorical, array_ordered, array_unordered, time_series",
    ),
    ({"metrics": {"a": 1}, "metrics_schema": [{"name": "a"}]}, ("metrics_schema[0].type", "required")),
]

ACCEPTED: list[dict[str, Any]] = [
    {"phase": "completed"},
    {"started_at": "2026-01-01T00:00:00.123456+00:00"},
    {"error_message": {"message": "m", "message_code": "c"}},
    {"error_message": {"message": "m", "message_code": "c", "message_origin": "zzz"}},
    {"job_meta": {"resolved_sha": "zz"}},
    {"overall_score": 1},
    {"phase": None, "metrics": None, "error_message": None},
    {"benchmark_index": None},
]

WRONG_TYPES: list[dict[str, Any]] = [
    {"benchmark_index": "0"},
    {"metrics": []},
    {"status": 1},
    {"benchmark_index": 1.5},
    {"artifacts": "x"},
]


def _text(expected: str | tuple[str, ...]) -> str:
    if isinstance(expected, str):
        return expected
    rules = [
        (
            f"benchmark_status_event.{path}",
            path if "[" in path and tag.startswith("metrics_schema") else path.rpartition(".")[2],
            tag,
        )
        for path, tag in zip(expected[::2], expected[1::2], strict=True)
    ]
    return failed(*rules, root="StatusEvent")


@pytest.mark.parametrize(("members", "expected"), INVALID, ids=label)
def test_an_event_is_refused_with_the_contracts_words_for(
    api: Api, members: dict[str, Any], expected: str | tuple[str, ...]
) -> None:
    status = members.get("status", "completed" if "metrics" in members else "running")
    reply = api.report(api.submit(), **({"status": status} | members))
    assert (reply.status, reply.code) == (400, "request_validation_failed")
    assert reply.message == f"The request validation failed: '{_text(expected)}'. Please check the request and try again."


@pytest.mark.parametrize("members", ACCEPTED, ids=label)
def test_an_event_is_accepted_with(api: Api, members: dict[str, Any]) -> None:
    reply = api.report(api.submit(), "running", **members)
    assert (reply.status, reply.body) == (204, b"")


@pytest.mark.parametrize("members", WRONG_TYPES, ids=label)
def test_a_member_of_the_wrong_type_is_refused(api: Api, members: dict[str, Any]) -> None:
    reply = api.report(api.submit(), **({"status": "running"} | members))
    assert (reply.status, reply.code) == (400, "invalid_json_request")


@pytest.mark.parametrize("body", [b"{}", b"null", b'{"benchmark_status_event":null}'])
def test_an_empty_event_misses_everything(api: Api, body: bytes) -> None:
    reply = api.post(f"{JOBS}/{api.submit()}/events", body)
    assert failed(("benchmark_status_event", "benchmark_status_event", "required"), root="StatusEvent") in reply.message
    inner = api.post(f"{JOBS}/{api.submit()}/events", {"benchmark_status_event": {}})
    assert [line.split("'")[1].rpartition(".")[2] for line in inner.message.split(": '", 1)[1].split("\n")] == [
        "provider_id", "id", "status",
    ]  # fmt: skip


def test_the_body_is_checked_before_the_job_is_looked_up(api: Api) -> None:
    assert api.report("nope", "zzz").status == 400
    reply = api.report("nope", "running")
    assert (reply.status, reply.message) == (404, "The evaluation job resource 'nope' was not found.")


@pytest.mark.parametrize(
    "members",
    [
        {"benchmark_index": 5},
        {"benchmark": "zz"},
        {"provider": "zz"},
        {"benchmark_index": 1},
        {"benchmark_index": -1},
        {"benchmark_index": 2**63 - 1},
        {"benchmark_index": -(2**63)},
    ],
)
def test_a_benchmark_that_the_job_does_not_have_is_a_404(api: Api, members: dict[str, Any]) -> None:
    reply = api.report(api.submit("b0", "b1"), "running", **members)
    assert (reply.status, reply.code) == (404, "resource_not_found")
    assert reply.message == f"The benchmark resource '{members.get('benchmark', 'b0')}' was not found."


def test_the_same_benchmark_twice_is_told_apart_by_its_index(api: Api) -> None:
    job_id = api.submit("b0", "b0")
    assert api.report(job_id, "completed", benchmark_index=1, metrics={"a": 1}).status == 204
    assert [row["status"] for row in api.job(job_id)["status"]["benchmarks"]] == ["pending", "completed"]
    assert [row["benchmark_index"] for row in api.job(job_id)["results"]["benchmarks"]] == [1]


def test_a_running_event_starts_the_benchmark_and_the_job(api: Api) -> None:
    job_id = api.submit("b0", "b1")
    assert api.report(job_id, "running", phase="loading_data", started_at="2026-01-01T00:00:00+02:00").status == 204
    document = api.job(job_id)
    assert document["status"]["state"] == "running"
    assert document["status"]["message"] == {
        "message": "Evaluation job is running", "message_code": "evaluation_job_updated", "message_origin": "server",
    }  # fmt: skip
    assert document["status"]["benchmarks"][0] == {
        "provider_id": "manual", "id": "b0", "benchmark_index": 0, "status": "running", "phase": "loading_data",
        "started_at": "2026-01-01T00:00:00+02:00",
    }  # fmt: skip
    assert document["status"]["benchmarks"][1]["status"] == "pending"
    assert document["results"] == {}


def test_the_server_notes_when_a_benchmark_started_and_ended_if_nobody_says(api: Api) -> None:
    job_id = api.submit()
    api.report(job_id, "running")
    api.report(job_id, "completed")
    (row,) = api.job(job_id)["status"]["benchmarks"]
    assert row["started_at"] <= row["completed_at"]


def test_what_earlier_events_said_is_kept(api: Api) -> None:
    job_id = api.submit()
    warning = {"message": "slow", "message_code": "slow", "message_origin": "adapter"}
    api.report(job_id, "running", phase="initializing", started_at="2026-01-01T00:00:00Z", warning_message=warning)
    api.report(job_id, "running", phase="running_evaluation")
    api.report(job_id, "completed", completed_at="2026-01-01T00:01:00Z")
    (row,) = api.job(job_id)["status"]["benchmarks"]
    assert row == {
        "provider_id": "manual", "id": "b0", "benchmark_index": 0, "status": "completed", "phase": "running_evaluation",
        "warning_message": warning, "started_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:01:00Z",
    }  # fmt: skip


def test_a_completed_event_brings_the_result(api: Api) -> None:
    job_id = api.submit()
    sent: dict[str, Any] = {
        "metrics": {"b": 0.5, "a": "x", "c": True},
        "metrics_schema": [{"name": "a", "type": "categorical"}],
        "additional_info": {"z": 1, "n": {"k": [1]}},
        "artifacts": {"card": {"v": 1}},
        "mlflow_run_id": "r1",
        "logs_path": "/logs",
    }
    assert api.report(job_id, "completed", **sent).status == 204
    document = api.job(job_id)
    assert document["status"]["state"] == "completed"
    assert document["status"]["message"]["message"] == "Evaluation job is completed"
    (row,) = document["results"]["benchmarks"]
    schema = row.pop("metrics_schema")
    del sent["metrics_schema"]
    assert row == {"id": "b0", "provider_id": "manual", "benchmark_index": 0} | sent
    assert list(row["metrics"]) == ["a", "b", "c"]
    assert {entry["name"]: entry["type"] for entry in schema} == {"a": "categorical", "b": "numeric", "c": "numeric"}
    assert "test" not in row
    assert "test" not in document["results"]


def test_a_failed_event_says_why(api: Api) -> None:
    job_id = api.submit()
    api.report(job_id, "failed", error_message={"message": "no data", "message_code": "x", "message_origin": "adapter"})
    status = api.job(job_id)["status"]
    assert status["state"] == "failed"
    assert status["message"]["message"] == "Evaluation job is failed. \nBenchmark b0 failed with message: no data\n"
    assert status["message"]["message_code"] == "evaluation_job_updated"
    assert status["benchmarks"][0]["error_message"]["message_origin"] == "adapter"


@pytest.mark.parametrize(
    ("given", "shown"), [(None, "runtime"), ("", "runtime"), ("zzz", "adapter"), ("sdk", "sdk"), ("server", "server")]
)
def test_the_origin_of_a_message_is_always_one_that_clients_know(api: Api, given: str | None, shown: str) -> None:
    job_id = api.submit()
    api.report(job_id, "running", error_message={"message": "m", "message_code": "c", "message_origin": given})
    assert api.job(job_id)["status"]["benchmarks"][0]["error_message"]["message_origin"] == shown


@pytest.mark.parametrize(
    ("statuses", "state", "message"),
    [
        (("completed", "completed"), "completed", "Evaluation job is completed"),
        (("failed", "failed"), "failed", "Evaluation job is failed. \n"),
        (("completed", "failed"), "partially_failed", "Some of the benchmarks failed. \n"),
        (("failed", "completed"), "partially_failed", "Some of the benchmarks failed. \n"),
        (("completed", ""), "running", "Evaluation job is running"),
        (("failed", ""), "running", "Evaluation job is running"),
        (("running", ""), "running", "Evaluation job is running"),
        (("pending", ""), "pending", "Evaluation job is pending"),
        (("", "pending"), "pending", "Evaluation job is pending"),
        (("running", "completed"), "running", "Evaluation job is running"),
    ],
)
def test_the_state_of_a_job_follows_from_its_benchmarks(
    api: Api, statuses: tuple[str, str], state: str, message: str
) -> None:
    job_id = api.submit("b0", "b1")
    for index, status in enumerate(statuses):
        if status:
            assert api.report(job_id, status, benchmark=f"b{index}", benchmark_index=index).status == 204
    shown = api.job(job_id)["status"]
    assert (shown["state"], shown["message"]["message"]) == (state, message)


@pytest.mark.parametrize("later", ["running", "pending"])
def test_an_ended_benchmark_does_not_run_again(api: Api, later: str) -> None:
    job_id = api.submit("b0", "b1")
    api.report(job_id, "completed", metrics={"a": 1})
    before = api.job(job_id)
    assert api.report(job_id, later, phase="loading_data").status == 204
    assert api.job(job_id)["status"]["benchmarks"] == before["status"]["benchmarks"]


def test_the_first_word_on_how_a_benchmark_ended_counts(api: Api) -> None:
    job_id = api.submit("b0", "b1")
    api.report(job_id, "completed", metrics={"a": 1})
    before = api.job(job_id)["results"]
    for later in ("completed", "failed"):
        assert api.report(job_id, later, metrics={"a": 2}).status == 204
    assert api.job(job_id)["status"]["benchmarks"][0]["status"] == "completed"
    assert api.job(job_id)["results"] == before


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
@pytest.mark.parametrize("status", ["running", "completed"])
def test_an_ended_job_takes_no_event(api: Api, end: str, status: str) -> None:
    job_id = api.submit()
    assert (api.delete(f"{JOBS}/{job_id}") if end == "cancelled" else api.report(job_id, end)).status == 204
    before = api.job(job_id)
    reply = api.report(job_id, status)
    assert (reply.status, reply.code) == (409, "job_can_not_be_updated")
    assert reply.message == f"The job {job_id} can not be running because it is '{end}'."
    assert api.job(job_id) == before


def test_an_adapter_needs_no_tenant_but_may_not_name_another(api: Api) -> None:
    ours = api.as_(x_tenant=unique("t"))
    job_id = ours.submit("b0", "b1")
    assert api.report(job_id, "running").status == 204
    assert api.as_(x_tenant=unique("other")).report(job_id, "failed").status == 404
    assert ours.report(job_id, "running", benchmark="b1", benchmark_index=1).status == 204


@pytest.mark.parametrize("number", ["", "-1", "1.5", "²", "9" * 19, "9" * 5000])
@pytest.mark.parametrize("header", [FENCE_HEADER, STARTED_HEADER])
def test_a_number_in_a_header_that_no_lease_can_have_is_refused(api: Api, worker: Worker, header: str, number: str) -> None:
    held = worker.take(api)
    event = {"provider_id": "manual", "id": "b0", "benchmark_index": 0, "status": "running"}
    headers = {FENCE_HEADER: str(held.fence), STARTED_HEADER: f"{held.run_id} 5"}
    headers[header] = number if header == FENCE_HEADER else f"{held.run_id} {number}"
    path = f"{JOBS}/{held.job_id}/events"
    reply = worker.api.call("POST", path, {"benchmark_status_event": event}, headers)
    assert (reply.status, reply.code) == (400, "bad_request")
    assert header in reply.message


@pytest.mark.parametrize("name", ["acc", "", "a.b/c d", "ü"])
def test_a_metric_may_have_any_name_and_kind_of_value(api: Api, name: str) -> None:
    job_id = api.submit()
    metrics = {name: 0.1, "list": [1, None], "object": {"k": 1}, "null": None, "big": 1e300}
    assert api.report(job_id, "completed", metrics=metrics).status == 204
    assert api.job(job_id)["results"]["benchmarks"][0]["metrics"] == metrics


def test_the_commit_of_the_test_data_is_noted_once(api: Api) -> None:
    git = {"git": {"url": "https://example.com/r.git", "ref": "main"}}
    job_id = api.submit(benchmarks=[{"id": "b0", "provider_id": "manual", "test_data_ref": git}])
    for sha in ("zz", "abcdef1", "1234567"):
        assert api.report(job_id, "running", job_meta={"resolved_sha": sha}).status == 204
    assert api.job(job_id)["benchmarks"][0]["test_data_ref"]["resolved_sha"] == "abcdef1"


def test_the_commit_of_a_collections_test_data_is_shown_with_what_the_job_came_to(api: Api) -> None:
    git = {"git": {"url": "https://example.com/r.git", "ref": "main"}}
    listed: list[dict[str, Any]] = [
        {"id": "b0", "provider_id": "manual", "weight": 2, "parameters": {"k": 1}},
        {"id": "b1", "provider_id": "manual", "test_data_ref": git},
    ]
    made = api.post(COLLECTIONS, {"name": "c", "category": "g", "benchmarks": listed}).json
    override = {"id": "b0", "provider_id": "manual", "parameters": {"own": 2}}
    reference = {"id": made["resource"]["id"], "benchmarks": [override]}
    job_id = api.submit(benchmarks=[], collection=reference)

    def found(job_id: str, sha: str) -> Reply:
        return api.report(job_id, "running", benchmark="b1", benchmark_index=1, job_meta={"resolved_sha": sha})

    before = api.job(job_id)
    assert list(before["collection"]) == ["id", "benchmarks", "collection_updated_at"]
    assert before["collection"]["benchmarks"] == [override]

    for sha in ("zz", "abcdef1", "1234567"):
        assert found(job_id, sha).status == 204
    assert api.report(job_id, "running", job_meta={"resolved_sha": "7654321"}).status == 204  # it has no test data
    known = api.job(job_id)["collection"]
    assert list(known) == ["id", "benchmarks", "collection_updated_at"]
    assert known["benchmarks"] == [
        {"id": "b0", "provider_id": "manual", "weight": 2, "parameters": {"k": 1, "own": 2}},
        {"id": "b1", "provider_id": "manual", "parameters": {"own": 2}, "test_data_ref": {**git, "resolved_sha": "abcdef1"}},
    ]
    (listed_job,) = api.get(f"{JOBS}?collection_id={reference['id']}").json["items"]
    assert listed_job == api.job(job_id)

    again = api.post(f"{JOBS}/{job_id}/rerun", {}).json
    assert again["collection"]["benchmarks"] == [override]
    assert found(again["resource"]["id"], "fedcba9").status == 204
    shown = api.job(again["resource"]["id"])["collection"]["benchmarks"]
    assert [row.get("test_data_ref", {}).get("resolved_sha") for row in shown] == [None, "fedcba9"]


def test_a_collection_may_name_a_commit_and_a_submission_may_not(api: Api) -> None:
    data = {"git": {"url": "https://example.com/r.git", "ref": "main"}, "resolved_sha": "abcdef1"}
    named = {"id": "b0", "provider_id": "manual", "test_data_ref": data}
    made = api.post(COLLECTIONS, {"name": "c", "category": "g", "benchmarks": [named]})
    assert made.status == 201
    reference = {"id": made.json["resource"]["id"]}
    assert api.post(JOBS, job_body(benchmarks=[], collection=reference)).status == 202
    reply = api.post(JOBS, job_body(benchmarks=[], collection={**reference, "benchmarks": [named]}))
    assert (reply.status, reply.code) == (400, "resolved_sha_read_only")
