"""Status events: which rule refuses what, in the words of the EvalHub contract."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.model.errors import BadRequest, ValidationFailed
from assay.model.shapes import read
from assay.model.submission import EVENT, PHASES

from .bodies import REMOVED, changed, failed
from .json_values import ANYTHING
from .shape_values import value_for

REPORT: dict[str, Any] = {
    "benchmark_status_event": {"provider_id": "p", "id": "b0", "benchmark_index": 0, "status": "running"}
}


def event_failed(*lines: tuple[str, str] | tuple[str, str, str]) -> str:
    return failed("StatusEvent", *((f"benchmark_status_event.{path}", *rest) for path, *rest in lines))  # type: ignore[arg-type]


REFUSED_EVENTS: list[tuple[dict[str, Any], str]] = [
    ({"provider_id": REMOVED}, event_failed(("provider_id", "required"))),
    ({"id": ""}, event_failed(("id", "required"))),
    ({"status": REMOVED}, event_failed(("status", "required"))),
    ({"status": ""}, event_failed(("status", "required"))),
    ({"status": "cancelled"}, "status must be one of: pending, running, completed, failed"),
    ({"status": "partially_failed"}, "status must be one of: pending, running, completed, failed"),
    ({"phase": "x"}, f"phase must be one of: {', '.join(PHASES)}"),
    ({"started_at": "yesterday"}, event_failed(("started_at", "datetime"))),
    ({"completed_at": "2026-01-01T00:00:00"}, event_failed(("completed_at", "datetime"))),
    ({"error_message": {}}, event_failed(("error_message.message", "required"), ("error_message.message_code", "required"))),
    ({"warning_message": {"message": "m"}}, event_failed(("warning_message.message_code", "required"))),
    (
        {"metrics_schema": [{"name": "a", "type": "numeric"}]},
        event_failed(("metrics_schema[0].name", "metrics_schema[0].name", "metrics_schema_name_not_in_metrics")),
    ),
    (
        {"metrics": {"a": 1}, "metrics_schema": [{"name": "a", "type": "numeric"}] * 2},
        event_failed(("metrics_schema", "metrics_schema_duplicate_name")),
    ),
    (
        {"metrics": {"a": 1}, "metrics_schema": [{"name": "a", "type": "x"}]},
        "type must be one of: numeric, categorical, array_ordered, array_unordered, time_series",
    ),
    ({"metrics": {"a": 1}, "metrics_schema": [{"name": "a"}]}, event_failed(("metrics_schema[0].type", "required"))),
]

ACCEPTED_EVENTS: list[dict[str, Any]] = [
    {},
    {"benchmark_index": REMOVED},
    {"phase": "completed"},
    {"started_at": "2026-01-01T00:00:00.123456+00:00"},
    {"error_message": {"message": "m", "message_code": "c"}},
    {"error_message": {"message": "m", "message_code": "c", "message_origin": "zzz"}},
    {"metrics": {"a": 1}, "metrics_schema": [{"name": "a", "type": "time_series"}]},
    {"job_meta": {"resolved_sha": "zz"}},
    {"overall_score": 1},
]


def event(changes: dict[str, Any]) -> dict[str, Any]:
    return changed(REPORT, {f"benchmark_status_event.{path}": value for path, value in changes.items()})


@pytest.mark.parametrize(("changes", "text"), REFUSED_EVENTS)
def test_an_event_that_breaks_a_rule_is_refused_in_the_contracts_words(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        read(EVENT, "StatusEvent", event(changes))
    assert refusal.value.details["error"] == text


@pytest.mark.parametrize("changes", ACCEPTED_EVENTS)
def test_an_event_that_the_contract_permits_is_accepted(changes: dict[str, Any]) -> None:
    body = read(EVENT, "StatusEvent", event(changes))
    assert body["benchmark_status_event"]["benchmark_index"] == 0


@pytest.mark.parametrize("body", [None, {}, {"benchmark_status_event": None}])
def test_an_event_without_its_one_member_is_refused(body: Any) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        read(EVENT, "StatusEvent", body)
    assert refusal.value.details["error"] == failed("StatusEvent", ("benchmark_status_event", "required"))


@given(ANYTHING)
def test_arbitrary_json_is_read_or_refused_and_nothing_else(value: Any) -> None:
    with contextlib.suppress(BadRequest):
        read(EVENT, "Root", value)


@given(st.data())
def test_what_resembles_a_body_is_read_or_refused_and_normalising_twice_changes_nothing(data: st.DataObject) -> None:
    value = data.draw(value_for(EVENT))
    try:
        once = read(EVENT, "Root", value)
    except BadRequest:
        return
    assert read(EVENT, "Root", once) == once
    assert msgspec.json.encode(read(EVENT, "Root", once)) == msgspec.json.encode(once)
    assert read(EVENT, "Root", msgspec.json.decode(msgspec.json.encode(once))) == once
