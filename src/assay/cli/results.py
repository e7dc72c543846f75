"""What a job document says of its results, as rows for a table; and the verdict that becomes the exit code.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay.client.evaluations import state

Job = Mapping[str, Any]

HEADINGS = ("BENCHMARK", "METRIC", "VALUE", "N", "ERRORED", "THRESHOLD", "RESULT")
RIGHT = frozenset({2, 3, 4, 5})
_COUNTS = ("n", "n_errored")


@dataclass(frozen=True)
class Row:
    """One metric of one benchmark, as text. `passed` is None where nothing was tested."""

    benchmark: str
    metric: str
    value: str
    n: str = ""
    errored: str = ""
    threshold: str = ""
    result: str = ""
    passed: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """The cells under HEADINGS."""
        return (self.benchmark, self.metric, self.value, self.n, self.errored, self.threshold, self.result)


def label(benchmark: Mapping[str, Any]) -> str:
    """Return how people name a benchmark: `provider/benchmark`, with the task of a custom one."""
    task = benchmark.get("parameters", {}).get("task")
    name = f"{benchmark.get('provider_id', '')}/{benchmark.get('id', '')}"
    return f"{name} ({task})" if task else name


def labels(job: Job) -> list[str]:
    """Return the label of each benchmark of a job, by index."""
    asked = job.get("benchmarks") or job.get("collection", {}).get("benchmarks") or []
    rows = statuses(job)
    count = max([len(asked), *(index + 1 for index in rows)])
    return [label(asked[i] if i < len(asked) else rows.get(i, {})) for i in range(count)]


def statuses(job: Job) -> dict[int, Mapping[str, Any]]:
    """Return the status rows of a job by benchmark index."""
    return {row.get("benchmark_index", 0): row for row in job.get("status", {}).get("benchmarks") or []}


def samples(job: Job, index: int) -> int:
    """Return how many samples a finished benchmark has worked on; 0 where it does not say."""
    for row in job.get("results", {}).get("benchmarks") or []:
        counts = [row.get("metrics", {}).get(name) for name in _COUNTS]
        if row.get("benchmark_index", 0) == index:
            return sum(count for count in counts if isinstance(count, int))
    return 0


def rows(job: Job) -> list[Row]:
    """Return the result rows of a job: per benchmark its primary metric first, or why it has none."""
    results = {row.get("benchmark_index", 0): row for row in job.get("results", {}).get("benchmarks") or []}
    status = statuses(job)
    asked = job.get("benchmarks") or []
    found: list[Row] = []
    for index, name in enumerate(labels(job)):
        result = results.get(index, {})
        primary = (asked[index] if index < len(asked) else {}).get("primary_score", {}).get("metric", "")
        made = _measured(name, result, primary) if result.get("metrics") else []
        how = str(status.get(index, {}).get("status", "pending"))
        if how != "completed":
            made = [Row(name, "-", "-", result=how, passed=False), *made]
        found += made or [Row(name, "-", "-", result="no metrics")]
    return found


def _measured(name: str, result: Mapping[str, Any], primary: str) -> list[Row]:
    metrics, test = result["metrics"], result.get("test")
    primary = test["primary_score_metric"] if test else primary
    names = [m for m in metrics if "/" not in m and m not in _COUNTS and not _is_stderr(m, metrics)]
    if primary in metrics:
        names = [primary, *(m for m in names if m != primary)]
    made = []
    for i, metric in enumerate(names):
        value = _with_error(metric, metrics)
        if i:
            made.append(Row("", metric, value))
            continue
        n, errored = (number(metrics[count]) if count in metrics else "" for count in _COUNTS)
        judged = test if test and metric == primary else None
        made.append(
            Row(
                name,
                metric,
                value,
                n,
                errored,
                f"{judged['threshold']:g}" if judged else "",
                ("pass" if judged["pass"] else "fail") if judged else "-",
                judged["pass"] if judged else None,
            )
        )
    return made


def _stderr_name(metric: str) -> str:
    bare, comma, filtered = metric.partition(",")
    return f"{bare}_stderr{comma}{filtered}"


def _is_stderr(metric: str, metrics: Mapping[str, Any]) -> bool:
    bare, _, _ = metric.partition(",")
    return bare.endswith("_stderr") and any(_stderr_name(other) == metric for other in metrics)


def _with_error(metric: str, metrics: Mapping[str, Any]) -> str:
    error = metrics.get(_stderr_name(metric))
    value = number(metrics[metric])
    return f"{value} ± {number(error)}" if isinstance(error, int | float) else value


def number(value: Any) -> str:
    """Return a measured value as text: four decimals, or four digits where it is tiny or huge."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{value:.0f}" if isinstance(value, int) else f"{value:.1f}"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e6 else f"{value:.4g}"


def passed(job: Job) -> bool:
    """Say whether a job counts as passed: it is completed, no test of it or of its benchmarks says otherwise, and every
    threshold that was asked for could be applied.
    """
    results = job.get("results", {})
    tests = [results.get("test"), *(row.get("test") for row in results.get("benchmarks") or [])]
    return state(dict(job)) == "completed" and all(test["pass"] for test in tests if test) and not untested(job)


def untested(job: Job) -> bool:
    """Say whether the submission asked for a threshold that could not be applied, for want of a metric."""
    results = job.get("results", {})
    tested = {row["benchmark_index"] for row in results.get("benchmarks") or [] if row.get("test")}
    asked = {i for i, benchmark in enumerate(job.get("benchmarks") or []) if benchmark.get("pass_criteria")}
    return bool(asked - tested) or ("pass_criteria" in job and "test" not in results)


def verdict(job: Job) -> str:
    """Return one line that says how a job ended, with its weighted score where it has one."""
    test = job.get("results", {}).get("test")
    how = state(dict(job))
    if how == "completed" and untested(job):
        return "job completed, fail (a threshold was asked for, but its metric was not reported: name one with --metric)"
    if not test:
        return f"job {how}" if how != "completed" else "job completed, nothing was tested against a threshold"
    relation = "≥" if test["pass"] else "<"
    score = f"score {number(test['score'])} {relation} threshold {test['threshold']:g}"
    if test["pass"] and not passed(job):
        return f"job {how}, fail ({score}, but a benchmark missed its own)"
    return f"job {how}, {'pass' if passed(job) else 'fail'} ({score})"


def problems(job: Job) -> list[str]:
    """Return what went wrong, a line a benchmark, with warnings."""
    names = labels(job)
    found = []
    for index, row in sorted(statuses(job).items()):
        for kind in ("error_message", "warning_message"):
            if message := (row.get(kind) or {}).get("message"):
                mark = "error" if kind == "error_message" else "warning"
                found.append(f"{names[index]}: {mark}: {message}")
    return found
