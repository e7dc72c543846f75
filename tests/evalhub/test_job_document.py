"""The job resource: its members, their order, and what is left out."""

from __future__ import annotations

import datetime
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.client import JOBS, Api, job_body, unique

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def nulls(value: Any, path: str = "$") -> Iterator[str]:
    """Yield the paths of every null."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from nulls(item, f"{path}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from nulls(item, f"{path}[{i}]")


def test_a_new_job_is_pending_with_a_row_for_every_benchmark(api: Api) -> None:
    reply = api.post(JOBS, job_body("b0", "b1", "b0"))
    assert reply.status == 202
    assert reply.json["status"] == {
        "state": "pending",
        "message": {
            "message": "Evaluation job created",
            "message_code": "evaluation_job_created",
            "message_origin": "server",
        },
        "benchmarks": [
            {"provider_id": "manual", "id": name, "benchmark_index": i, "status": "pending"}
            for i, name in enumerate(("b0", "b1", "b0"))
        ],
    }
    assert reply.json["results"] == {}


def test_a_job_was_created_until_somebody_reports(api: Api) -> None:
    job_id = api.submit()
    assert api.job(job_id)["status"]["message"]["message_code"] == "evaluation_job_created"
    assert api.report(job_id, "pending").status == 204
    assert api.job(job_id)["status"]["message"]["message"] == "Evaluation job is pending"


def test_the_resource_has_an_id_an_owner_a_tenant_and_times_that_stay_as_they_are(api: Api) -> None:
    mine = api.as_(x_tenant="team-a", x_user="system:serviceaccount:ns:sa")
    created = mine.post(JOBS, job_body()).json["resource"]
    assert list(created) == ["id", "tenant", "created_at", "updated_at", "owner"]
    assert str(uuid.UUID(created["id"])) == created["id"]
    assert (created["tenant"], created["owner"]) == ("team-a", "system:serviceaccount:ns:sa")
    assert RFC3339.fullmatch(created["created_at"])
    assert RFC3339.fullmatch(created["updated_at"])
    assert mine.job(created["id"])["resource"] == created


def test_without_headers_there_is_neither_tenant_nor_owner(api: Api) -> None:
    assert set(api.post(JOBS, job_body()).json["resource"]) == {"id", "created_at", "updated_at"}


def test_a_change_moves_updated_at_and_nothing_else_of_the_resource(api: Api) -> None:
    job_id = api.submit()
    before = api.job(job_id)["resource"]
    assert api.report(job_id, "running").status == 204
    after = api.job(job_id)["resource"]
    assert datetime.datetime.fromisoformat(after["updated_at"]) > datetime.datetime.fromisoformat(before["updated_at"])
    assert after | {"updated_at": before["updated_at"]} == before


def test_members_come_in_the_contracts_order_and_the_config_as_it_was_posted(api: Api) -> None:
    config: dict[str, Any] = {
        "name": unique(),
        "description": "d",
        "tags": ["b", "a"],
        "model": {
            "url": "http://m.example/v1?a=b&c=d",
            "name": "m",
            "auth": {"secret_ref": "sec"},
            "parameters": {"temperature": 0, "z": None, "a": {"y": 1, "x": [None, {}]}},
            "card_url": "http://cards.example/m",
        },
        "pass_criteria": {"threshold": 0},
        "benchmarks": [
            {
                "id": "b0",
                "provider_id": "manual",
                "weight": 0,
                "primary_score": {"metric": "acc", "lower_is_better": True},
                "pass_criteria": {"threshold": 0.1},
                "hardware_config": {"cpu": {"request": "1", "limit": "2"}},
                "parameters": {"num_examples": 3, "empty": "", "list": []},
                "test_data_ref": {"hf": {"repo_id": "o/d"}},
            }
        ],
        "custom": {"k": {"b": 2, "a": 1}},
        "exports": {"oci": {"coordinates": {"oci_host": "h", "oci_repository": "r", "annotations": {"a": "b"}}}},
        "hardware_config": {"gpu": {"name": "g", "count": 1}},
        "queue": {"kind": "kueue", "name": "q"},
    }
    document = api.post(JOBS, dict(reversed(config.items()))).json
    assert list(document) == ["resource", "status", "results", *config]
    for member in (
        "name",
        "description",
        "tags",
        "pass_criteria",
        "benchmarks",
        "custom",
        "exports",
        "hardware_config",
        "queue",
    ):
        assert document[member] == config[member], member
    assert list(document["benchmarks"][0]) == list(config["benchmarks"][0])
    assert list(document["model"]) == ["url", "name", "auth", "parameters", "card_url"]
    assert list(document["custom"]["k"]) == ["a", "b"]
    assert api.job(document["resource"]["id"]) | {"status": document["status"]} == document


def test_empty_optional_members_are_left_out(api: Api) -> None:
    document = api.post(JOBS, job_body(description="", tags=[], queue=None, collection=None)).json
    assert list(document) == ["resource", "status", "results", "name", "model", "benchmarks"]


def test_the_url_of_the_model_is_there_even_when_empty(api: Api) -> None:
    body = job_body(model={"name": "m"}) | {
        "benchmarks": [
            {
                "id": "b0",
                "provider_id": "manual",
                "test_data_ref": {"type": "pre_recorded_data", "hf": {"repo_id": "o/d"}},
            }
        ]
    }
    assert api.post(JOBS, body).json["model"] == {"url": "", "name": "m"}


def test_a_queue_without_a_kind_is_a_kueue_queue(api: Api) -> None:
    document = api.post(JOBS, job_body(queue={"name": "q"}, hardware_config={"queue": {"name": "q2"}})).json
    assert document["queue"] == {"kind": "kueue", "name": "q"}
    assert document["hardware_config"]["queue"] == {"kind": "kueue", "name": "q2"}


@pytest.mark.parametrize(
    "member",
    [
        "description",
        "tags",
        "pass_criteria",
        "collection",
        "experiment",
        "custom",
        "exports",
        "hardware_config",
        "queue",
        "priority",
    ],
)
def test_a_null_is_as_good_as_nothing(api: Api, member: str) -> None:
    reply = api.post(JOBS, job_body() | {member: None})
    assert reply.status == 202
    assert list(nulls(reply.json)) == []


def test_no_document_holds_a_null_that_the_user_did_not_put_into_a_free_member(api: Api) -> None:
    job_id = api.submit("b0", "b1")
    api.report(job_id, "running", phase=None, started_at=None, error_message=None)
    api.report(job_id, "completed", metrics={"acc": 1.0}, metrics_schema=None, artifacts=None, additional_info=None)
    api.report(job_id, "failed", benchmark="b1", benchmark_index=1, error_message={"message": "m", "message_code": "c"})
    for document in (api.job(job_id), api.get(f"{JOBS}?limit=3").json):
        assert list(nulls(document)) == []


def test_a_stored_null_of_the_user_comes_back_in_the_free_member_only(api: Api) -> None:
    job_id = api.submit(custom={"a": None})
    assert list(nulls(api.job(job_id))) == ["$.custom.a"]


@pytest.mark.parametrize("name", ["\U0001f600", "\u2028", "ß" * 5_000, "'; DROP TABLE jobs; --", "\x1b[31m", "%s %d {x}"])
def test_any_text_comes_back_as_it_was(api: Api, name: str) -> None:
    assert api.job(api.submit(name=name, custom={name: name}))["name"] == name


@pytest.mark.parametrize("number", [0.1, 1e38, 5e-324, -0.0, 2**53, 1e-7, 0.6166666666666667])
def test_numbers_keep_their_precision(api: Api, number: float) -> None:
    document = api.job(api.submit(custom={"n": number}, pass_criteria={"threshold": number}))
    assert document["custom"]["n"] == number
    assert document["pass_criteria"]["threshold"] == number


def test_an_unknown_job_is_a_404_that_names_it(api: Api) -> None:
    for reply in (api.get(f"{JOBS}/nope"), api.delete(f"{JOBS}/nope"), api.get(f"{JOBS}/nope/logs")):
        assert (reply.status, reply.code) == (404, "resource_not_found")
        assert reply.message == "The evaluation job resource 'nope' was not found."


def test_a_job_is_seen_by_its_tenant_alone(api: Api) -> None:
    ours, theirs = api.as_(x_tenant=unique("a")), api.as_(x_tenant=unique("b"))
    job_id = ours.submit()
    for other in (theirs, api):
        assert other.get(f"{JOBS}/{job_id}").status == 404
        assert other.get(f"{JOBS}/{job_id}/logs").status == 404
        assert other.get(f"{JOBS}/{job_id}/benchmarks/0/logs").status == 404
        assert other.get(f"{JOBS}/{job_id}/benchmarks/0/artifacts").status == 404
        assert other.delete(f"{JOBS}/{job_id}?hard_delete=true").status == 404
        assert other.get(JOBS + "?limit=200").json["total_count"] == len(other.get(JOBS + "?limit=0").json["items"])
    assert theirs.report(job_id, "running").status == 404
    assert theirs.get(JOBS).json["items"] == []
    assert ours.job(job_id)["status"]["state"] == "pending"
