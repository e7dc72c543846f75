"""Submissions: which rule refuses what, in the words of the EvalHub contract."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.model.errors import BadRequest, InvalidJson, ValidationFailed
from assay.model.shapes import read
from assay.model.submission import JOB

from .bodies import REMOVED, changed, failed
from .json_values import ANYTHING
from .shape_values import value_for

SUBMISSION: dict[str, Any] = {
    "name": "j",
    "model": {"url": "http://m.example", "name": "m"},
    "benchmarks": [{"id": "b0", "provider_id": "p"}],
}
DATA = "benchmarks.0.test_data_ref"
GIT = {"url": "https://example.com/r.git", "ref": "main"}
S3 = {"bucket": "b", "key": "k", "secret_ref": "s"}
OCI = {"oci_host": "h", "oci_repository": "r"}


def job_failed(*lines: tuple[str, str] | tuple[str, str, str]) -> str:
    return failed("EvaluationJobConfig", *lines)


NO_SOURCE = "test_data_ref: one of s3, pvc, git, or hf must be set"
TWO_SOURCES = "test_data_ref: exactly one of s3, pvc, git, or hf must be set"
PROFILE = "hardware_config: hardware_profile_name cannot be combined with queue, cpu, memory, or gpu"

REFUSED_JOBS: list[tuple[dict[str, Any], str]] = [
    ({"name": REMOVED}, job_failed(("name", "required"))),
    ({"name": ""}, job_failed(("name", "required"))),
    ({"name": None}, job_failed(("name", "required"))),
    ({"model": REMOVED}, job_failed(("model", "required"))),
    ({"model": {}}, job_failed(("model.name", "required"))),
    ({"model.name": ""}, job_failed(("model.name", "required"))),
    ({"model.url": "not a url"}, job_failed(("model.url", "url"))),
    ({"model.url": "http://h\nX-Header: 1"}, job_failed(("model.url", "url"))),
    ({"model.url": "http://[::1"}, job_failed(("model.url", "url"))),
    ({"model.url": "http://h:99999"}, job_failed(("model.url", "url"))),
    ({"model.auth": {}}, job_failed(("model.auth.secret_ref", "required"))),
    ({"tags": ["a,b"]}, job_failed(("tags[0]", "tagname"))),
    ({"tags": ["a|b"]}, job_failed(("tags[0]", "tagname"))),
    ({"tags": [""]}, job_failed(("tags[0]", "tagname"))),
    ({"tags": ["ok", None]}, job_failed(("tags[1]", "tagname"))),
    ({"tags": ["x" * 129]}, job_failed(("tags[0]", "tagname"))),
    ({"benchmarks": REMOVED}, job_failed(("benchmarks", "minimum one benchmark"))),
    ({"benchmarks": []}, job_failed(("benchmarks", "minimum one benchmark"))),
    ({"benchmarks": [{}]}, job_failed(("benchmarks[0].Ref.id", "required"), ("benchmarks[0].provider_id", "required"))),
    ({"benchmarks": [None]}, job_failed(("benchmarks[0].Ref.id", "required"), ("benchmarks[0].provider_id", "required"))),
    ({"benchmarks.0.id": ""}, job_failed(("benchmarks[0].Ref.id", "required"))),
    ({"benchmarks.0.weight": -1}, job_failed(("benchmarks[0].weight", "min"))),
    ({"benchmarks.0.primary_score": {}}, job_failed(("benchmarks[0].primary_score.metric", "required"))),
    ({"benchmarks.0.pass_criteria": {}}, job_failed(("benchmarks[0].pass_criteria.threshold", "required"))),
    ({"pass_criteria": {}}, job_failed(("pass_criteria.threshold", "required"))),
    ({"pass_criteria": {"threshold": None}}, job_failed(("pass_criteria.threshold", "required"))),
    ({"collection": {"id": "c"}}, job_failed(("benchmarks", "benchmarks or collection"))),
    (
        {"collection": {"id": ""}, "benchmarks": REMOVED},
        job_failed(("collection.id", "required"), ("benchmarks", "minimum one benchmark")),
    ),
    (
        {"collection": {}, "benchmarks": REMOVED},
        job_failed(("collection.id", "required"), ("benchmarks", "minimum one benchmark")),
    ),
    (
        {"collection": {"id": "c", "benchmarks": [{"provider_id": "p"}]}, "benchmarks": REMOVED},
        job_failed(("collection.benchmarks[0].Ref.id", "required")),
    ),
    ({DATA: {}}, NO_SOURCE),
    ({DATA: {"type": "data_set"}}, NO_SOURCE),
    ({DATA: {"type": "x", "hf": {"repo_id": "o/d"}}}, "type must be one of: data_set, pre_recorded_data"),
    ({DATA: {"s3": S3, "pvc": {"claim_name": "c"}}}, TWO_SOURCES),
    ({DATA: {"hf": {"repo_id": "o/d"}, "git": GIT}}, TWO_SOURCES),
    ({DATA: {"pvc": {}}}, job_failed(("benchmarks[0].test_data_ref.pvc.claim_name", "required"))),
    (
        {DATA: {"pvc": {"claim_name": "Bad_Name"}}},
        job_failed(("benchmarks[0].test_data_ref.pvc.claim_name", "rfc1123_dns_label")),
    ),
    (
        {DATA: {"pvc": {"claim_name": "ok\n"}}},
        job_failed(("benchmarks[0].test_data_ref.pvc.claim_name", "rfc1123_dns_label")),
    ),
    (
        {DATA: {"pvc": {"claim_name": "a" * 64}}},
        job_failed(("benchmarks[0].test_data_ref.pvc.claim_name", "rfc1123_dns_label")),
    ),
    (
        {DATA: {"pvc": {"claim_name": "ok", "sub_path": "/../x"}}},
        job_failed(("benchmarks[0].test_data_ref.pvc.sub_path", "relative_path")),
    ),
    (
        {DATA: {"s3": {}}},
        job_failed(*((f"benchmarks[0].test_data_ref.s3.{name}", "required") for name in S3)),
    ),
    ({DATA: {"s3": {**S3, "secret_ref": ""}}}, job_failed(("benchmarks[0].test_data_ref.s3.secret_ref", "required"))),
    ({DATA: {"hf": {}}}, job_failed(("benchmarks[0].test_data_ref.hf.repo_id", "notblank"))),
    ({DATA: {"hf": {"repo_id": ""}}}, job_failed(("benchmarks[0].test_data_ref.hf.repo_id", "notblank"))),
    ({DATA: {"hf": {"repo_id": "  "}}}, job_failed(("benchmarks[0].test_data_ref.hf.repo_id", "notblank"))),
    (
        {DATA: {"hf": {"repo_id": "o/d", "secret_ref": "Bad_"}}},
        job_failed(("benchmarks[0].test_data_ref.hf.secret_ref", "rfc1123_dns_label")),
    ),
    (
        {DATA: {"git": {}}},
        job_failed(*((f"benchmarks[0].test_data_ref.git.{name}", "required") for name in ("url", "ref"))),
    ),
    ({DATA: {"git": {**GIT, "ref": ""}}}, job_failed(("benchmarks[0].test_data_ref.git.ref", "required"))),
    (
        {DATA: {"git": {**GIT, "url": "ssh://example.com/r.git"}}},
        job_failed(("benchmarks[0].test_data_ref.git.url", "http_url")),
    ),
    (
        {DATA: {"git": {**GIT, "url": "http://localhost/r.git"}}},
        job_failed(("benchmarks[0].test_data_ref.git.url", "git_clone_url")),
    ),
    (
        {DATA: {"git": {**GIT, "url": "http://example.com/r.git", "secret_ref": "s"}}},
        "git url with credentials must use https scheme",
    ),
    (
        {"hardware_config": {"hardware_profile_name": "Bad_"}},
        job_failed(("hardware_config.hardware_profile_name", "rfc1123_dns_label")),
    ),
    ({"hardware_config": {"hardware_profile_name": "p", "cpu": {"request": "1"}}}, PROFILE),
    ({"benchmarks.0.hardware_config": {"hardware_profile_name": "p", "gpu": {"count": 1}}}, PROFILE),
    ({"hardware_config": {"queue": {}}}, job_failed(("hardware_config.queue.name", "required"))),
    ({"hardware_config": {"queue": {"kind": "x", "name": "q"}}}, "kind must be one of: kueue"),
    ({"hardware_config": {"queue": {"name": " q "}}}, job_failed(("hardware_config.queue.name", "rfc1123_dns_label"))),
    ({"hardware_config": {"gpu": {"count": -1}}}, job_failed(("hardware_config.gpu.count", "min"))),
    ({"queue": {"kind": "x", "name": "q"}}, "kind must be one of: kueue"),
    ({"queue": {}}, job_failed(("queue.name", "required"))),
    ({"exports": {"oci": {}}}, job_failed(("exports.oci.coordinates", "required"))),
    (
        {"exports": {"oci": {"coordinates": {"oci_host": "h"}}}},
        job_failed(("exports.oci.coordinates.oci_repository", "required")),
    ),
    ({"exports": {"oci": {"coordinates": OCI, "k8s": {}}}}, job_failed(("exports.oci.k8s.connection", "required"))),
    ({"experiment": {}}, job_failed(("experiment.name", "notblank"))),
    ({"experiment": {"name": " "}}, job_failed(("experiment.name", "notblank"))),
    (
        {"experiment": {"name": "e", "tags": [{"key": "", "value": ""}]}},
        job_failed(("experiment.tags[0].key", "required"), ("experiment.tags[0].value", "required")),
    ),
    (
        {"experiment": {"name": "e", "tags": [{"key": "k" * 251, "value": "v" * 5001}]}},
        job_failed(("experiment.tags[0].key", "max"), ("experiment.tags[0].value", "max")),
    ),
    ({"experiment": {"name": "e", "tags": [{"key": "k", "value": "v"}] * 21}}, job_failed(("experiment.tags", "max"))),
    ({"hardware_config": {"cpu": {"request": "zzz"}}}, job_failed(("hardware_config.cpu.request", "quantity"))),
    ({"timeout_seconds": -1}, job_failed(("timeout_seconds", "min"))),
    # All failures are told at once, in the order of the members; rules of the whole job come last.
    (
        {"name": "", "model": {}, "tags": ["a,b"], "benchmarks": []},
        job_failed(
            ("name", "required"), ("tags[0]", "tagname"), ("model.name", "required"), ("benchmarks", "minimum one benchmark")
        ),
    ),
    # A text that replaces the list does so only where its failure is the first.
    (
        {"name": "", DATA: {}},
        job_failed(("name", "required"), ("benchmarks[0].test_data_ref.s3", "required_without_all")),
    ),
]

ACCEPTED_JOBS: list[dict[str, Any]] = [
    {},
    {"name": "  "},
    {"model.url": ""},
    {"model.url": REMOVED},
    {"model.url": "file:///x"},
    {"model.parameters": {"a": 1}, "model.card_url": "x"},
    {"tags": ["a", "b", "x" * 128, "with space", "ünï"]},
    {"benchmarks.0.weight": 0},
    {"pass_criteria": {"threshold": 7}},
    {"pass_criteria": {"threshold": 0}},
    {"collection": {"id": "c"}, "benchmarks": []},
    {"collection": {"id": "c"}, "benchmarks": REMOVED},
    {"collection": {"id": "c", "benchmarks": [{"id": "b", "provider_id": "p"}]}, "benchmarks": REMOVED},
    {DATA: {"hf": {"repo_id": "o/d"}}},
    {DATA: {"git": GIT}},
    {DATA: {"git": {**GIT, "secret_ref": "s"}}},
    {DATA: {"type": "pre_recorded_data", "pvc": {"claim_name": "c"}}, "model.url": REMOVED},
    {DATA: {"s3": S3}},
    {"hardware_config": {}},
    {"hardware_config": {"hardware_profile_name": "p"}},
    {"hardware_config": {"cpu": {"request": "500m"}, "memory": {"limit": "1.5Gi"}}},
    {"queue": {"name": "q"}},
    {"queue": {"kind": "kueue", "name": "q"}},
    {"exports": {}},
    {"exports": {"oci": {"coordinates": {**OCI, "annotations": {"a": "b"}}, "k8s": {"connection": "c"}}}},
    {"experiment": {"name": "e", "tags": [{"key": "k" * 250, "value": "v" * 5000}] * 20}},
    {"custom": {"a": 1}},
    {"unknown_field": 1},
    {"priority": -3, "timeout_seconds": 0.5},
]

WRONG_TYPES: list[tuple[dict[str, Any], str, str]] = [
    ({"name": 5}, "name", "string"),
    ({"benchmarks": {}}, "benchmarks", "array"),
    ({"tags": "a"}, "tags", "array"),
    ({"tags": [1]}, "tags[0]", "string"),
    ({"benchmarks.0.weight": "1"}, "benchmarks[0].weight", "number"),
    ({"benchmarks.0.weight": True}, "benchmarks[0].weight", "number"),
    ({"benchmarks.0.primary_score": {"metric": "m", "lower_is_better": 1}}, "lower_is_better", "boolean"),
    ({"model": "m"}, "model", "object"),
    ({"benchmarks.0.pass_criteria": {"threshold": "0.5"}}, "threshold", "number"),
    ({"hardware_config": {"gpu": {"count": 1.5}}}, "count", "integer"),
    ({"priority": 2**63}, "priority", "integer"),
    ({"custom": []}, "custom", "object"),
    ({"exports": {"oci": {"coordinates": {**OCI, "annotations": {"a": 1}}}}}, "annotations.a", "string"),
]


@pytest.mark.parametrize(("changes", "text"), REFUSED_JOBS)
def test_a_submission_that_breaks_a_rule_is_refused_in_the_contracts_words(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        read(JOB, "EvaluationJobConfig", changed(SUBMISSION, changes))
    assert refusal.value.details["error"] == text


@pytest.mark.parametrize("changes", ACCEPTED_JOBS)
def test_a_submission_that_the_contract_permits_is_accepted(changes: dict[str, Any]) -> None:
    read(JOB, "EvaluationJobConfig", changed(SUBMISSION, changes))


@pytest.mark.parametrize(("changes", "path", "kind"), WRONG_TYPES)
def test_a_wrong_json_type_is_an_error_that_names_the_member(changes: dict[str, Any], path: str, kind: str) -> None:
    with pytest.raises(InvalidJson) as refusal:
        read(JOB, "EvaluationJobConfig", changed(SUBMISSION, changes))
    assert path in refusal.value.message
    assert f"expected {kind}" in refusal.value.message


@pytest.mark.parametrize("body", [[], "x", 1, True])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    with pytest.raises(InvalidJson, match="the body: expected object"):
        read(JOB, "EvaluationJobConfig", body)


@pytest.mark.parametrize("body", [None, {}])
def test_null_is_read_as_an_empty_object(body: Any) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        read(JOB, "EvaluationJobConfig", body)
    assert refusal.value.details["error"] == job_failed(
        ("name", "required"), ("model", "required"), ("benchmarks", "minimum one benchmark")
    )


@pytest.mark.parametrize("weight", [10**400, -(10**400), float("inf"), float("nan")])
def test_a_number_that_no_double_holds_is_refused(weight: float) -> None:
    with pytest.raises(InvalidJson, match=r"benchmarks\[0\]\.weight: the number is not finite or too large"):
        read(JOB, "EvaluationJobConfig", changed(SUBMISSION, {"benchmarks.0.weight": weight}))


@pytest.mark.parametrize("levels", [101, 400])
def test_free_form_members_may_not_be_nested_without_end(levels: int) -> None:
    deep = msgspec.json.decode(b'{"a":' * levels + b"1" + b"}" * levels)
    with pytest.raises(InvalidJson, match="custom: it is nested more than 100 levels deep"):
        read(JOB, "EvaluationJobConfig", changed(SUBMISSION, {"custom": deep}))


def test_member_names_match_without_regard_to_case_and_the_last_one_wins() -> None:
    body = read(
        JOB, "EvaluationJobConfig", {**SUBMISSION, "NAME": "Upper", "Benchmarks": [{"ID": "b1", "Provider_Id": "p"}]}
    )
    assert body["name"] == "Upper"
    assert body["benchmarks"] == [{"id": "b1", "provider_id": "p"}]


def test_what_is_stored_is_normalised() -> None:
    posted = {
        "unknown": 1,
        "custom": {"z": 1, "a": {"y": None, "b": [{"d": 1, "c": 2}]}},
        "benchmarks": [{"weight": 0, "provider_id": "p", "id": "b", "parameters": {"b": 1, "a": 2}}],
        "description": "",
        "tags": [],
        "model": {"name": "m", "auth": None},
        "name": "j",
        "priority": 0,
    }
    body = read(JOB, "EvaluationJobConfig", posted)
    assert msgspec.json.encode(body).decode() == (
        '{"name":"j","model":{"url":"","name":"m"},'
        '"benchmarks":[{"id":"b","provider_id":"p","weight":0,"parameters":{"a":2,"b":1}}],'
        '"custom":{"a":{"b":[{"c":2,"d":1}],"y":null},"z":1}}'
    )


@given(ANYTHING)
def test_arbitrary_json_is_read_or_refused_and_nothing_else(value: Any) -> None:
    with contextlib.suppress(BadRequest):
        read(JOB, "Root", value)


@given(st.data())
def test_what_resembles_a_body_is_read_or_refused_and_normalising_twice_changes_nothing(data: st.DataObject) -> None:
    value = data.draw(value_for(JOB))
    try:
        once = read(JOB, "Root", value)
    except BadRequest:
        return
    assert read(JOB, "Root", once) == once
    assert msgspec.json.encode(read(JOB, "Root", once)) == msgspec.json.encode(once)
    assert read(JOB, "Root", msgspec.json.decode(msgspec.json.encode(once))) == once
