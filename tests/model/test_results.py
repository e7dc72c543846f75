"""Reports merge without loss; origins and schemas are made whole."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.model.results import ORIGINS, BenchmarkTest, Message, Report, Result, full_schema, merge, with_origin

TEXT = st.sampled_from(["", "a", "b"])
MESSAGE = st.none() | st.builds(Message, TEXT, TEXT, TEXT)
REPORT = st.builds(
    Report,
    running=st.booleans(),
    phase=TEXT,
    error_message=MESSAGE,
    warning_message=MESSAGE,
    started_at=TEXT,
    completed_at=TEXT,
)
FIELDS = Report.__struct_fields__


@given(REPORT, REPORT)
def test_a_merge_takes_what_the_later_report_says_and_keeps_what_it_leaves_out(before: Report, after: Report) -> None:
    merged = merge(before, after)
    for field in FIELDS:
        said = getattr(after, field)
        assert getattr(merged, field) == (said or getattr(before, field)), field


@given(REPORT)
def test_a_report_that_says_nothing_changes_nothing(report: Report) -> None:
    assert merge(report, Report()) == report
    assert merge(Report(), report) == report
    assert merge(report, report) == report


@given(REPORT, REPORT, REPORT)
def test_reports_merge_to_the_same_however_they_are_grouped(one: Report, two: Report, three: Report) -> None:
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@given(REPORT)
def test_a_report_survives_its_json(report: Report) -> None:
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


@pytest.mark.parametrize(
    ("given_origin", "origin"), [("", "runtime"), ("zzz", "adapter"), *((known, known) for known in sorted(ORIGINS))]
)
def test_every_origin_is_one_that_clients_can_parse(given_origin: str, origin: str) -> None:
    assert with_origin(Message("m", "c", given_origin)) == Message("m", "c", origin)


def test_metrics_without_a_declared_type_are_numeric_in_their_own_order() -> None:
    declared = [{"name": "b", "type": "categorical"}]
    assert full_schema({"z": 1, "b": "x", "a": 2}, declared) == [
        {"name": "b", "type": "categorical"},
        {"name": "z", "type": "numeric"},
        {"name": "a", "type": "numeric"},
    ]
    assert declared == [{"name": "b", "type": "categorical"}]


def test_a_test_says_pass_on_the_wire() -> None:
    result = Result(metrics={"acc": 0.5}, test=BenchmarkTest(0.5, "acc", 0.4, True))
    on_the_wire = msgspec.json.decode(msgspec.json.encode(result))
    assert on_the_wire == {
        "metrics": {"acc": 0.5},
        "test": {"primary_score": 0.5, "primary_score_metric": "acc", "threshold": 0.4, "pass": True},
    }
    assert msgspec.json.decode(msgspec.json.encode(result), type=Result) == result
