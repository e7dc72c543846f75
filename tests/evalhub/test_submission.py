"""What a submission may hold: the contract's gallery of errors, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from tests.evalhub.galleries import ACCEPTED, INVALID, MISSING, REFUSED, WRONG_TYPES, Change, changed, label
from tests.server.client import JOBS, PROVIDERS, Api, job_body, unique


@pytest.mark.parametrize("change", ACCEPTED, ids=label)
def test_it_is_accepted_with(api: Api, change: Change) -> None:
    reply = api.post(JOBS, changed(job_body(), change))
    assert reply.status == 202, reply.text


@pytest.mark.parametrize(("change", "text"), INVALID, ids=label)
def test_it_is_refused_with_the_contracts_words_for(api: Api, change: Change, text: str) -> None:
    reply = api.post(JOBS, changed(job_body(), change))
    assert (reply.status, reply.code) == (400, "request_validation_failed")
    assert reply.message == f"The request validation failed: '{text}'. Please check the request and try again."


@pytest.mark.parametrize(("change", "status", "code", "message"), REFUSED, ids=label)
def test_it_is_refused_for_what_it_asks(api: Api, change: Change, status: int, code: str, message: str) -> None:
    reply = api.post(JOBS, changed(job_body(), change))
    assert (reply.status, reply.code, reply.message) == (status, code, message)


@pytest.mark.parametrize("change", WRONG_TYPES, ids=label)
def test_a_member_of_the_wrong_type_is_no_valid_json_for_it(api: Api, change: Change) -> None:
    reply = api.post(JOBS, changed(job_body(), change))
    assert (reply.status, reply.code) == (400, "invalid_json_request")


@pytest.mark.parametrize("body", [b"{}", b"null"])
def test_an_empty_object_and_null_miss_everything(api: Api, body: bytes) -> None:
    reply = api.post(JOBS, body)
    assert (reply.status, reply.code) == (400, "request_validation_failed")
    assert MISSING in reply.message


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"5", b"true"])
def test_a_body_that_is_no_object_is_refused(api: Api, body: bytes) -> None:
    reply = api.post(JOBS, body)
    assert (reply.status, reply.code) == (400, "invalid_json_request")


def test_members_match_without_regard_to_case_and_the_last_one_counts(api: Api) -> None:
    name = unique()
    body = f'{{"name":"first","Model":{{"URL":"http://m","Name":"m"}},"BENCHMARKS":[{{"ID":"b0","Provider_Id":"manual"}}],"NaMe":"{name}"}}'
    document = api.post(JOBS, body.encode()).json
    assert document["name"] == name
    assert document["model"] == {"url": "http://m", "name": "m"}
    assert document["benchmarks"] == [{"id": "b0", "provider_id": "manual"}]


def test_unknown_members_are_dropped(api: Api) -> None:
    body = job_body(config={"x": 1}, timeout_minutes=5) | {"benchmarks": [{"id": "b0", "provider_id": "manual", "zzz": 1}]}
    document = api.post(JOBS, body).json
    assert "config" not in document
    assert "timeout_minutes" not in document
    assert document["benchmarks"] == [{"id": "b0", "provider_id": "manual"}]


def test_unknown_members_are_named_in_a_warning(api: Api) -> None:
    body = job_body(benchmarks=[{"id": "b0", "provider_id": "manual", "zzz": 1}], benchmark=[])
    warning = '299 assay "unknown members were ignored: benchmarks[0].zzz, benchmark (did you mean benchmarks?)"'
    assert api.post(JOBS, body).headers["warning"] == warning
    assert "warning" not in api.post(JOBS, job_body()).headers


@pytest.mark.parametrize("amount", ["1", "0.5", "500m", "2Gi", "1e3", "1500M", "", None])
def test_amounts_are_written_as_kubernetes_writes_them(api: Api, amount: str | None) -> None:
    body = job_body(hardware_config={"cpu": {"request": amount}, "memory": {"limit": amount}})
    assert api.post(JOBS, body).status == 202


def test_a_repeated_request_with_its_own_id_makes_one_job(api: Api) -> None:
    tenant, request_id = api.as_(x_tenant=unique("t")), unique("request")
    first, again = (tenant.post(JOBS, job_body(), x_global_transaction_id=request_id) for _ in range(2))
    assert again.status == first.status == 202
    assert again.json["resource"]["id"] == first.json["resource"]["id"]
    other = tenant.post(JOBS, job_body(name="other"), x_global_transaction_id=request_id)
    assert other.json["resource"]["id"] != first.json["resource"]["id"]
    elsewhere = api.as_(x_tenant=unique("t")).post(JOBS, job_body(), x_global_transaction_id=request_id)
    assert elsewhere.json["resource"]["id"] != first.json["resource"]["id"]


def test_the_same_body_without_an_id_makes_a_job_each_time(api: Api) -> None:
    first, again = (api.post(JOBS, job_body()).json["resource"]["id"] for _ in range(2))
    assert first != again


def test_every_broken_rule_is_told_in_the_order_of_the_members(api: Api) -> None:
    reply = api.post(JOBS, {"benchmarks": [{"weight": -1}], "model": {"url": "x y"}, "tags": ["a,b"]})
    lines = reply.message.removeprefix("The request validation failed: '").split("\n")
    told = [line.split("'")[1].removeprefix("EvaluationJobConfig.") for line in lines]
    assert told == [
        "name", "tags[0]", "model.url", "model.name",
        "benchmarks[0].Ref.id", "benchmarks[0].provider_id", "benchmarks[0].weight",
    ]  # fmt: skip


def test_the_provider_is_looked_up_before_its_benchmark(api: Api) -> None:
    reply = api.post(JOBS, job_body("nope", provider="nobody"))
    assert (reply.status, reply.message) == (404, "The provider resource 'nobody' was not found.")


@pytest.mark.parametrize(
    "change",
    [
        {"model.parameters": {"api_key": "sk-canary"}},
        {"model.url": "http://user:sk-canary@m.example/v1"},
        {"model.url": "http://m.example/v1?version=2&API-Key=sk-canary"},
        {"benchmarks.0.parameters": {"nested": [{"Authorization": "Bearer sk-canary"}]}},
    ],
    ids=label,
)
def test_a_key_in_the_body_is_refused_without_showing_it(api: Api, change: Change) -> None:
    name = unique()
    reply = api.post(JOBS, changed(job_body(name=name), change))
    assert (reply.status, reply.code) == (400, "credential_in_request")
    assert "sk-canary" not in reply.text
    assert api.get(f"{JOBS}?name={name}").json["total_count"] == 0


@pytest.mark.parametrize("value", [3, "3"])
def test_the_number_of_examples_stays_in_the_parameters_that_are_shown(api: Api, value: Any) -> None:
    body = changed(job_body(), {"benchmarks.0.parameters": {"num_examples": value, "b": 1, "a": 2}})
    shown = api.post(JOBS, body).json["benchmarks"][0]["parameters"]
    assert shown == {"num_examples": value, "b": 1, "a": 2}
    assert list(shown) == ["a", "b", "num_examples"]


def test_a_refused_submission_leaves_nothing_behind(api: Api) -> None:
    name = unique()
    for change in ({"benchmarks.0.id": "nope"}, {"model.url": ""}, {"tags": ["a,b"]}):
        assert api.post(JOBS, changed(job_body(name=name), change)).status == 400
    assert api.get(f"{JOBS}?name={name}").json["total_count"] == 0


@pytest.mark.parametrize(
    ("path", "body", "ignored", "meant"),
    [
        (JOBS, job_body(benchmark=[]), "benchmark", "benchmarks"),
        (JOBS, job_body(Timeout_Second=5), "Timeout_Second", "timeout_seconds"),
        (JOBS, job_body(model={"url": "http://m.example", "name": "m", "nam": "x"}), "model.nam", "name"),
        (
            JOBS,
            job_body(benchmarks=[{"id": "b0", "provider_id": "manual", "wieght": 2}]),
            "benchmarks[0].wieght",
            "weight",
        ),
        (PROVIDERS, {"name": "p", "benchmark": []}, "benchmark", "benchmarks"),
        (
            "/api/v1/evaluations/collections",
            {"name": "c", "catgory": "x", "category": "c", "benchmarks": [{"id": "b0", "provider_id": "manual"}]},
            "catgory",
            "category",
        ),
    ],
)
def test_a_member_that_is_ignored_is_told_with_the_one_that_was_meant(
    api: Api, path: str, body: dict[str, Any], ignored: str, meant: str
) -> None:
    reply = api.post(path, body, x_tenant=unique("tenant"))
    assert reply.status in (201, 202)
    assert reply.headers["warning"] == f'299 assay "unknown members were ignored: {ignored} (did you mean {meant}?)"'


def test_a_warning_is_one_short_line_whatever_is_ignored(api: Api) -> None:
    body = job_body() | {"x" * 5000: 1, 'a"\r\nX-Injected: b': 2, "ü\u2028": 3} | {f"n{i}": i for i in range(50)}
    reply = api.post(JOBS, body)
    assert reply.headers["warning"].endswith(' and 45 more"')
    assert reply.headers["warning"].isascii()
    assert len(reply.headers["warning"]) < 3000
    assert "x-injected" not in reply.headers


def test_a_body_that_is_understood_has_no_warning(api: Api) -> None:
    assert "warning" not in api.post(JOBS, job_body(custom={"anything": 1}, NAME="x")).headers


def test_null_in_a_map_of_texts_is_as_good_as_absent(api: Api) -> None:
    coordinates = {"oci_host": "registry.example", "oci_repository": "r", "annotations": {"a": None, "b": "x"}}
    job_id = api.submit(exports={"oci": {"coordinates": coordinates}})
    assert api.job(job_id)["exports"]["oci"]["coordinates"]["annotations"] == {"b": "x"}


def test_a_seed_of_64_bits_comes_back_as_it_was_sent(api: Api) -> None:
    benchmark = {"id": "b0", "provider_id": "manual", "parameters": {"seed": 2**64 - 1}}
    assert api.job(api.submit(benchmarks=[benchmark]))["benchmarks"][0]["parameters"] == {"seed": 2**64 - 1}
