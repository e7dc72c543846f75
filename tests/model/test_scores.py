"""Pass criteria of benchmarks and the weighted score of a job."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.model.results import BenchmarkTest
from assay.model.scores import Criteria, JobTest, job_test, judge
from assay.model.shapes import LARGEST

FINITE = st.floats(-LARGEST, LARGEST)
ACC = Criteria("acc", threshold=0.5)


def row(index: int, score: float, weight: float = 1.0, lower: bool = False) -> tuple[int, Criteria, BenchmarkTest]:
    return index, Criteria("acc", lower, 0.5, weight), BenchmarkTest(score, "acc", 0.5, True)


@given(FINITE, FINITE, st.booleans())
def test_a_benchmark_passes_at_its_threshold_and_on_the_better_side_of_it(
    value: float, threshold: float, lower: bool
) -> None:
    test, warning = judge(Criteria("acc", lower, threshold), {"acc": value, "other": 1})
    assert warning is None
    assert test == BenchmarkTest(value, "acc", threshold, value <= threshold if lower else value >= threshold)


@pytest.mark.parametrize(("value", "shown"), [(1e39, LARGEST), (-1e300, -LARGEST), (10**39, LARGEST)])
def test_a_value_beyond_32_bits_is_shown_as_the_greatest_of_32_bits(value: float, shown: float) -> None:
    test, warning = judge(Criteria("ppl", True, 10.0), {"ppl": value})
    assert warning is None
    assert test == BenchmarkTest(shown, "ppl", 10, value <= 10)


@pytest.mark.parametrize("criteria", [Criteria(), Criteria("acc"), Criteria(threshold=0.5)])
def test_without_a_metric_and_a_threshold_nothing_is_judged(criteria: Criteria) -> None:
    assert judge(criteria, {"acc": 1.0}) == (None, None)


def test_a_threshold_of_zero_is_a_threshold() -> None:
    test, _ = judge(Criteria("acc", threshold=0.0), {"acc": 0})
    assert test is not None
    assert test.passed


@pytest.mark.parametrize("value", ["0.9", True, None, [0.9], {"v": 1}, math.nan, math.inf, pytest.param(10**400, id="huge")])
def test_a_metric_that_is_no_number_is_not_judged_and_says_so(value: Any) -> None:
    test, warning = judge(ACC, {"acc": value})
    assert test is None
    assert warning is not None
    assert (warning.message_code, warning.message_origin) == ("primary_metric_not_numeric", "server")
    assert "'acc' is not a number" in warning.message


def test_a_missing_metric_is_not_judged_and_says_so() -> None:
    test, warning = judge(ACC, {"f1": 1.0})
    assert test is None
    assert warning is not None
    assert "'acc' was not reported" in warning.message


@given(st.integers(-(10**30), 10**30))
def test_a_judged_score_survives_its_json(value: int) -> None:
    test, _ = judge(ACC, {"acc": value})
    assert test is not None
    assert msgspec.json.decode(msgspec.json.encode(test), type=BenchmarkTest).primary_score == float(value)


def test_lower_is_better_is_inverted_in_the_score_of_the_job() -> None:
    assert job_test([row(0, 0.1, 0.6, lower=True), row(1, 0.975, 0.4)], None) == JobTest(0.93, 0.5, True)


def test_a_lower_is_better_score_outside_zero_to_one_is_left_out_and_named() -> None:
    assert job_test([row(0, 250.0, lower=True), row(1, 0.4), row(2, -0.1, lower=True)], None) == JobTest(
        0.4, 0.5, False, [0, 2]
    )


def test_a_job_of_nothing_but_left_out_scores_has_no_test() -> None:
    assert job_test([row(0, 250.0, lower=True)], None) is None


def test_a_weight_of_zero_takes_no_part() -> None:
    assert job_test([row(0, 0.0, 0.0), row(1, 0.8, 2.0)], None) == JobTest(0.8, 0.5, True)
    assert job_test([row(0, 1.0, 0.0)], None) is None


def test_nothing_judged_gives_no_test() -> None:
    assert job_test([], 0.1) is None


@pytest.mark.parametrize(("threshold", "least", "passed"), [(None, 0.5, True), (0.0, 0.0, True), (0.61, 0.61, False)])
def test_the_threshold_is_the_jobs_own_or_one_half(threshold: float | None, least: float, passed: bool) -> None:
    assert job_test([row(0, 0.6)], threshold) == JobTest(0.6, least, passed)


@pytest.mark.parametrize(
    ("rows", "score"),
    [
        ([(0.9, 1.0), (0.9, 1.0)], 0.9),
        ([(0.1, 1.0), (0.2, 1.0), (0.3, 1.0)], 0.2),
        ([(0.7, 2.0), (0.45, 1.0)], 0.616666666667),
        ([(0.92, 2.0), (0.76, 1.0), (0.8, 3.0)], 0.833333333333),
    ],
)
def test_scores_print_without_the_noise_of_binary_fractions(rows: list[tuple[float, float]], score: float) -> None:
    test = job_test([row(i, value, weight) for i, (value, weight) in enumerate(rows)], None)
    assert test is not None
    assert repr(test.score) == repr(score)


def test_a_score_that_prints_as_the_threshold_passes() -> None:
    test = job_test([row(0, 0.1), row(1, 0.2), row(2, 0.3)], 0.2)
    assert test is not None
    assert test.passed


WEIGHTED = st.lists(st.tuples(FINITE, st.floats(0, allow_nan=False, allow_infinity=False), st.booleans()), max_size=6)


@given(WEIGHTED)
def test_a_jobs_score_is_a_mean_so_it_lies_between_its_parts(parts: list[tuple[float, float, bool]]) -> None:
    test = job_test([row(i, *part) for i, part in enumerate(parts)], None)
    counted = [1 - v if lower else v for v, w, lower in parts if w and not (lower and not 0 <= v <= 1)]
    assert (test is None) is (not counted)
    if test is not None:
        assert math.isfinite(test.score)
        slack = 1e-9 * max(map(abs, counted)) + 1e-12
        assert min(counted) - slack <= test.score <= max(counted) + slack
        assert msgspec.json.decode(msgspec.json.encode(test), type=JobTest) == test


@given(WEIGHTED, st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_only_the_proportions_of_the_weights_matter(parts: list[tuple[float, float, bool]], factor: float) -> None:
    parts = [(v, min(max(w, 1e-100), 1e100) if w else 0.0, lower) for v, w, lower in parts]
    scaled = [(v, w * factor, lower) for v, w, lower in parts]
    one = job_test([row(i, *part) for i, part in enumerate(parts)], None)
    other = job_test([row(i, *part) for i, part in enumerate(scaled)], None)
    assert (one is None) is (other is None)
    if one and other:
        assert other.score == pytest.approx(one.score, rel=1e-9, abs=1e-9)
