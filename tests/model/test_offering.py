"""Catalogue entries: providers and collections, from HTTP bodies and from YAML files."""

from __future__ import annotations

import contextlib
import datetime
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.model.errors import BadRequest, InvalidJson, ValidationFailed
from assay.model.offering import COLLECTION, PROVIDER
from assay.model.shapes import Object, read, spelled

from .bodies import REMOVED, changed, failed
from .json_values import ANYTHING
from .shape_values import value_for

OFFER: dict[str, Any] = {"name": "p", "benchmarks": [{"id": "b0"}]}
BUNDLE: dict[str, Any] = {"name": "c", "category": "cat", "benchmarks": [{"id": "b0", "provider_id": "p"}]}


def collection_failed(*lines: tuple[str, str]) -> str:
    return failed("CollectionConfig", *lines)


def provider_failed(*lines: tuple[str, str]) -> str:
    return failed("ProviderConfig", *lines)


REFUSED_COLLECTIONS: list[tuple[dict[str, Any], str]] = [
    (
        {"name": REMOVED, "category": REMOVED, "benchmarks": REMOVED},
        collection_failed(("name", "required"), ("category", "required"), ("benchmarks", "required")),
    ),
    ({"name": ""}, collection_failed(("name", "required"))),
    ({"category": ""}, collection_failed(("category", "required"))),
    ({"category": "x" * 129}, collection_failed(("category", "max"))),
    ({"description": "x" * 1025}, collection_failed(("description", "max"))),
    ({"benchmarks": []}, collection_failed(("benchmarks", "min"))),
    ({"benchmarks": None}, collection_failed(("benchmarks", "required"))),
    (
        {"benchmarks": [{}]},
        collection_failed(("benchmarks[0].Ref.id", "required"), ("benchmarks[0].provider_id", "required")),
    ),
    ({"benchmarks.0.weight": -1}, collection_failed(("benchmarks[0].weight", "min"))),
    ({"tags": ["a,b"]}, collection_failed(("tags[0]", "tagname"))),
    ({"pass_criteria": {}}, collection_failed(("pass_criteria.threshold", "required"))),
    ({"curation_order": -1}, collection_failed(("curation_order", "min"))),
    ({"benchmarks.0.test_data_ref": {}}, "test_data_ref: one of s3, pvc, git, or hf must be set"),
]

REFUSED_PROVIDERS: list[tuple[dict[str, Any], str]] = [
    ({"tags": ["a|b"]}, provider_failed(("tags[0]", "tagname"))),
    ({"description": "x" * 1025}, provider_failed(("description", "max"))),
    ({"benchmarks.0.primary_score": {}}, provider_failed(("benchmarks[0].primary_score.metric", "required"))),
    ({"benchmarks.0.pass_criteria": {}}, provider_failed(("benchmarks[0].pass_criteria.threshold", "required"))),
    (
        {"benchmarks.0.agent": {"score_ranges": [{}]}},
        provider_failed(
            ("benchmarks[0].agent.score_ranges[0].range", "required"),
            ("benchmarks[0].agent.score_ranges[0].meaning", "required"),
        ),
    ),
    ({"agent": {"target_type": "x"}}, "target_type must be one of: model, agent, inference_server"),
    ({"agent": {"summary": "s" * 201}}, provider_failed(("agent.summary", "max"))),
    ({"runtime": {"k8s": {"image_pull_policy": "never"}}}, "image_pull_policy must be one of: if_not_present, always"),
    (
        {"runtime": {"k8s": {"CPULimit": "1", "cpu_limit": "2"}}},
        "cpu_limit and CPULimit are one member but differ; send one of them",
    ),
    ({"runtime": {"assay": {}}}, provider_failed(("runtime.assay.engine", "required"))),
]


@pytest.mark.parametrize(("changes", "text"), REFUSED_COLLECTIONS)
def test_a_collection_that_breaks_a_rule_is_refused_in_the_contracts_words(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        read(COLLECTION, "CollectionConfig", changed(BUNDLE, changes))
    assert refusal.value.details["error"] == text


@pytest.mark.parametrize(
    "changes", [{}, {"description": ""}, {"custom": {}}, {"agent": {"target_type": "model"}}, {"domains": [""]}]
)
def test_a_collection_that_the_contract_permits_is_accepted(changes: dict[str, Any]) -> None:
    read(COLLECTION, "CollectionConfig", changed(BUNDLE, changes))


@pytest.mark.parametrize(("changes", "text"), REFUSED_PROVIDERS)
def test_a_provider_that_breaks_a_rule_is_refused_in_the_contracts_words(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        read(PROVIDER, "ProviderConfig", changed(OFFER, changes))
    assert refusal.value.details["error"] == text


def test_nothing_of_a_provider_is_required_and_lists_are_never_null() -> None:
    assert read(PROVIDER, "ProviderConfig", {}) == {"name": "", "title": "", "benchmarks": []}
    assert read(PROVIDER, "ProviderConfig", {"benchmarks": [{}]})["benchmarks"] == [
        {"id": "", "name": "", "category": "", "num_few_shot": 0, "dataset_size": 0}
    ]


@pytest.mark.parametrize("name", ["CPURequest", "cpurequest", "cpu_request"])
def test_what_kubernetes_is_to_give_is_understood_in_every_spelling(name: str) -> None:
    sent = {
        "image": "i",
        "Entrypoint": ["e"],
        name: "1",
        "env": [{"name": "A", "value": "1"}],
        "image_pull_policy": "always",
    }
    assert read(PROVIDER, "ProviderConfig", {"runtime": {"k8s": sent}})["runtime"]["k8s"] == {
        "image": "i",
        "entrypoint": ["e"],
        "cpu_request": "1",
        "memory_request": "",
        "cpu_limit": "",
        "memory_limit": "",
        "env": [{"Name": "A", "Value": "1"}],
        "image_pull_policy": "always",
    }


def test_a_pointer_is_spelled_as_the_value_has_its_members() -> None:
    for sent, kept in (
        ("/runtime/k8s/CPULimit", "/runtime/k8s/cpu_limit"),
        ("/RUNTIME/k8s/env/0/value", "/runtime/k8s/env/0/Value"),
        ("/custom/Name/cpu_limit", "/custom/Name/cpu_limit"),
        ("/nothing/Name", "/nothing/Name"),
        ("name", "name"),
    ):
        assert spelled(PROVIDER, sent) == kept


def test_the_empty_values_that_are_filled_in_are_nobody_elses() -> None:
    first = read(PROVIDER, "ProviderConfig", {})
    first["benchmarks"].append({"id": "mine"})
    assert read(PROVIDER, "ProviderConfig", {})["benchmarks"] == []


@pytest.mark.parametrize("value", [datetime.date(2026, 1, 1), math.nan, {1: "a"}, b"x", {"deep": [{2: 3}]}])
def test_what_yaml_can_say_and_json_cannot_is_refused(value: Any) -> None:
    with pytest.raises(InvalidJson, match="custom"):
        read(COLLECTION, "CollectionConfig", changed(BUNDLE, {"custom": {"a": value}}))


def test_a_yaml_member_whose_name_is_a_number_is_as_unknown_as_any_other() -> None:
    assert read(PROVIDER, "ProviderConfig", {1: 2, **OFFER})["name"] == "p"


@given(st.sampled_from([PROVIDER, COLLECTION]), ANYTHING)
def test_arbitrary_json_is_read_or_refused_and_nothing_else(shape: Object, value: Any) -> None:
    with contextlib.suppress(BadRequest):
        read(shape, "Root", value)


@pytest.mark.parametrize("shape", [PROVIDER, COLLECTION], ids=["provider", "collection"])
@given(st.data())
def test_normalising_twice_changes_nothing(shape: Object, data: st.DataObject) -> None:
    try:
        once = read(shape, "Root", data.draw(value_for(shape)))
    except BadRequest:
        return
    assert read(shape, "Root", once) == once
