"""What a collection and a job's overrides come to, and what a collection takes from its benchmarks."""

from __future__ import annotations

from typing import Any

import pytest

from assay.model.collections import resolve, taxonomy
from assay.model.errors import DoesNotExist, EmptyCollection


def entry(id_: str = "b", provider: str = "p", **members: Any) -> dict[str, Any]:
    return {"id": id_, "provider_id": provider, **members}


def only(listed: dict[str, Any], *overrides: dict[str, Any]) -> dict[str, Any]:
    (resolved,) = resolve("c", {"benchmarks": [listed]}, overrides)
    return resolved


def test_benchmarks_come_in_the_order_of_the_collection() -> None:
    listed = [entry("z"), entry("a", "q"), entry("z")]
    assert resolve("c", {"benchmarks": listed}, [entry("a", "q"), entry("z")]) == listed


@pytest.mark.parametrize(
    ("member", "value", "other"),
    [
        ("weight", 2, 5),
        ("primary_score", {"metric": "a"}, {"metric": "b"}),
        ("pass_criteria", {"threshold": 0}, {"threshold": 1}),
    ],
)
def test_how_a_benchmark_is_judged_is_the_collections_word_alone(member: str, value: Any, other: Any) -> None:
    assert only(entry(**{member: value}), entry(**{member: other}))[member] == value
    assert member not in only(entry(), entry(**{member: other}))


def test_parameters_are_those_of_every_override_of_the_provider_with_the_collections_on_top() -> None:
    listed = {"benchmarks": [entry("a", parameters={"k": 1}), entry("b", parameters={"own": 3}), entry("c", "q")]}
    overrides = [entry("b", parameters={"k": 0, "x": 1}), entry("a", parameters={"x": 2, "y": 3})]
    resolved = [benchmark.get("parameters") for benchmark in resolve("c", listed, overrides)]
    assert resolved == [{"k": 1, "x": 2, "y": 3}, {"k": 0, "own": 3, "x": 2, "y": 3}, None]


@pytest.mark.parametrize("nothing", ["", None])
def test_an_empty_parameter_of_the_collection_takes_that_of_the_job_away(nothing: str | None) -> None:
    assert only(entry(parameters={"a": nothing, "z": 0}), entry(parameters={"a": 1}))["parameters"] == {"z": 0}
    assert "parameters" not in only(entry(parameters={"a": nothing}), entry(parameters={"a": 1}))


def test_test_data_and_hardware_are_those_of_the_override_of_the_same_benchmark() -> None:
    data, own, hardware = {"hf": {"repo_id": "theirs"}}, {"hf": {"repo_id": "own"}}, {"cpu": {"request": "1"}}
    assert only(entry(test_data_ref=data), entry(test_data_ref=own, hardware_config=hardware)) == entry(
        test_data_ref=own, hardware_config=hardware
    )
    assert only(entry(test_data_ref=data), entry()) == entry(test_data_ref=data)
    listed = {"benchmarks": [entry("a"), entry("b")]}
    assert resolve("c", listed, [entry("b", test_data_ref=own)]) == [entry("a"), entry("b", test_data_ref=own)]


@pytest.mark.parametrize(
    ("override", "kind", "named"),
    [
        (entry(provider="q"), "provider", "q"),
        (entry("x", "q"), "provider", "q"),
        (entry("x"), "benchmark", "x"),
    ],
)
def test_an_override_names_what_the_collection_has(override: dict[str, Any], kind: str, named: str) -> None:
    with pytest.raises(DoesNotExist) as refused:
        only(entry(), entry(), override)
    assert refused.value.message == f"The {kind} with id '{named}' does not exist."


@pytest.mark.parametrize("body", [{}, {"benchmarks": []}])
def test_a_collection_without_benchmarks_makes_no_job(body: dict[str, Any]) -> None:
    with pytest.raises(EmptyCollection) as refused:
        resolve("c", body, [])
    assert refused.value.message == "The collection c does not have any benchmarks."


def test_lists_are_filled_in_the_order_in_which_values_are_seen_without_repeating_any() -> None:
    known = [
        {"domains": ["law", "code"], "tasks": ["qa"], "industries": ["never taken"]},
        {},
        {"domains": ["code", "art"], "evaluation_targets": ["model"]},
    ]
    assert taxonomy(known) == {"domains": ["law", "code", "art"], "tasks": ["qa"], "evaluation_targets": ["model"]}
