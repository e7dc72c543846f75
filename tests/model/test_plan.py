"""Plans: what decides a digest and what does not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.model.errors import PreflightFailed
from assay.model.placement import Resources
from assay.model.plan import Model, Plan

from .json_values import EXACT, json_of

PLAN = Plan(kind="evaluation", provider_id="p", benchmark_id="b", engine="lm_eval", model=Model("m", "http://h/v1"))

OTHER: dict[str, Any] = {
    "kind": "experiment",
    "provider_id": "q",
    "benchmark_id": "c",
    "engine": "adapter",
    "engine_version": "2",
    "model": Model("m2"),
    "parameters": {"a": 1},
    "options": {"task": "t"},
    "datasets": {"f": "sha256:0"},
    "snapshot": "sha256:1",
    "resources": Resources(gpus=1),
    "runtime": "podman",
}


def test_every_field_of_a_plan_is_identity() -> None:
    assert set(OTHER) == set(Plan.__struct_fields__)
    digests = {msgspec.structs.replace(PLAN, **{field: value}).digest() for field, value in OTHER.items()}
    assert len(digests | {PLAN.digest()}) == len(OTHER) + 1


def test_the_order_of_parameters_is_not_identity() -> None:
    one = msgspec.structs.replace(PLAN, parameters={"a": 1, "b": {"c": 2, "d": 3}})
    other = msgspec.structs.replace(PLAN, parameters={"b": {"d": 3, "c": 2}, "a": 1})
    assert one.digest() == other.digest()


def test_leaving_a_field_out_is_the_same_as_giving_its_default() -> None:
    assert msgspec.structs.replace(PLAN, parameters={}, engine_version="").digest() == PLAN.digest()


@given(json_of(EXACT | st.integers(-(2**63), 2**64 - 1)))
def test_a_plan_that_was_stored_has_the_digest_it_had(value: Any) -> None:
    plan = msgspec.structs.replace(PLAN, parameters={"v": value})
    stored = msgspec.json.decode(msgspec.json.encode(plan), type=Plan)
    assert stored.digest() == plan.digest()


def test_a_parameter_that_json_cannot_carry_exactly_is_refused_with_what_to_do() -> None:
    plan = msgspec.structs.replace(PLAN, parameters={"seed": 2**64})
    with pytest.raises(PreflightFailed, match=r"benchmark 'b': an integer is beyond 64 bits.*send it as text"):
        plan.digest()
