"""Pass criteria: a benchmark's primary metric against its threshold, and a job's weighted score.

All arithmetic is in doubles. The rules are those of the EvalHub contract with its known defects put right: criteria are
resolved once, at submit, per benchmark index; a lower-is-better score outside [0, 1] cannot be inverted and takes no part in
the weighted score.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import msgspec

from assay.model.results import BenchmarkTest, Message
from assay.model.shapes import LARGEST, shortest


class Criteria(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one benchmark of a job is judged. `metric` empty: it is not. `weight` >= 0; 0 takes no part in the job's score."""

    metric: str = ""
    lower_is_better: bool = False
    threshold: int | float | None = None
    weight: float = 1.0


class JobTest(msgspec.Struct, frozen=True, omit_defaults=True, rename={"passed": "pass"}):
    """A job's weighted score held against its threshold. `excluded` are the indexes of benchmarks left out of the score."""

    score: int | float
    threshold: int | float
    passed: bool
    excluded: list[int] = []


DEFAULT_THRESHOLD = 0.5


def judge(criteria: Criteria, metrics: Mapping[str, Any]) -> tuple[BenchmarkTest | None, Message | None]:
    """Return the test of a benchmark, if its criteria ask for one, and a warning if they ask but the metrics do not
    answer."""
    if not criteria.metric or criteria.threshold is None:
        return None, None
    value: Any = metrics.get(criteria.metric)
    if not _is_number(value):
        problem = "is not a number" if criteria.metric in metrics else "was not reported"
        return None, Message(
            f"The primary metric '{criteria.metric}' {problem}, so the benchmark could not be judged.",
            "primary_metric_not_numeric",
            "server",
        )
    passed = value <= criteria.threshold if criteria.lower_is_better else value >= criteria.threshold
    shown = min(max(value, -LARGEST), LARGEST)
    return BenchmarkTest(shortest(shown), criteria.metric, shortest(criteria.threshold), passed), None


def job_test(rows: Iterable[tuple[int, Criteria, BenchmarkTest]], threshold: float | None) -> JobTest | None:
    """Return the weighted score over the judged benchmarks `(index, criteria, test)`, or None where none counts."""
    counted: list[tuple[float, float]] = []
    excluded = []
    for index, criteria, test in rows:
        score = test.primary_score
        if criteria.lower_is_better:
            if not 0 <= score <= 1:
                excluded.append(index)
                continue
            score = 1 - score
        if criteria.weight:
            counted.append((criteria.weight, score))
    if not counted:
        return None
    # Twelve decimals hide the last bits of binary fractions (0.1 + 0.2) and nothing that was measured.
    score, least = round(_mean(counted), 12), DEFAULT_THRESHOLD if threshold is None else threshold
    return JobTest(shortest(score), shortest(least), score >= least, excluded)


def _mean(weighted: Sequence[tuple[float, float]]) -> float:
    """Return the mean of `(weight > 0, value)` pairs; huge weights and values do not overflow."""
    heaviest = max(weight for weight, _ in weighted)
    shares = [weight / heaviest for weight, _ in weighted]
    whole = sum(shares)
    mean = sum(share / whole * value for share, (_, value) in zip(shares, weighted, strict=True))
    values = [value for _, value in weighted]
    return min(max(mean, min(values)), max(values))


def _is_number(value: Any) -> TypeGuard[float]:
    try:
        return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # an integer beyond every double
        return False
