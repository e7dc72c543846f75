"""What a run measured: the driver's result event as types, and the flat map of numbers that a benchmark
reports.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Metric(msgspec.Struct, frozen=True):
    """One number. `stderr` is its standard error; None where the library has no formula for it."""

    value: int | float | None
    stderr: int | float | None
    higher_is_better: bool | None
    filter: str


class TaskResult(msgspec.Struct, frozen=True):
    """One task. Metrics are keyed by name, those of a filter other than the first by `name,filter`."""

    metrics: dict[str, Metric]
    n_planned: int
    n_scored: int
    n_errored: int
    n_shot: int | None
    version: int | float | str | None
    task_hash: str
    output_type: str


class GroupResult(msgspec.Struct, frozen=True):
    """One group of tasks, with the numbers it aggregates over them."""

    metrics: dict[str, Metric]
    subtasks: list[str]


class Usage(msgspec.Struct, frozen=True):
    """What the requests cost; latency is summed over all of them, in seconds."""

    requests: int
    failed_requests: int
    prompt_tokens: int
    completion_tokens: int
    latency_s_total: float


class ArtifactFile(msgspec.Struct, frozen=True):
    """A file that the run has written."""

    name: str
    path: str
    media_type: str


class RunResult(msgspec.Struct, frozen=True):
    """Everything that the result event says. `primary` is the task, group or tag that was asked for."""

    tasks: dict[str, TaskResult]
    groups: dict[str, GroupResult]
    primary: str
    usage: Usage
    lm_eval_version: str
    artifacts: list[ArtifactFile]

    @property
    def n_scored(self) -> int:
        """Samples that count in the metrics, over all tasks."""
        return sum(task.n_scored for task in self.tasks.values())

    @property
    def n_errored(self) -> int:
        """Samples that got no answer, over all tasks."""
        return sum(task.n_errored for task in self.tasks.values())


def parse_result(event: dict[str, Any]) -> RunResult:
    """Return the result event as a RunResult; raises msgspec.ValidationError."""
    return msgspec.convert(event, RunResult)


def flat_metrics(result: RunResult) -> dict[str, int | float]:
    """Return the numbers of the run in one map, as a benchmark's metrics.

    Those of what was asked for have their own names (`acc`, `acc_stderr`, and `acc,<filter>` for a filter
    that is not the first); those of members of a group or tag are `<member>/<name>`. `n` is the number of
    scored samples, `n_errored` of those without an answer. Metrics without a number are left out.
    """
    flat: dict[str, int | float] = {}
    entries = {name: task.metrics for name, task in result.tasks.items()}
    entries |= {name: group.metrics for name, group in result.groups.items()}
    for name in sorted(entries, key=lambda name: name != result.primary):
        prefix = "" if name == result.primary else f"{name}/"
        for key, metric in entries[name].items():
            if metric.value is not None:
                flat[prefix + key] = metric.value
            if metric.stderr is not None:
                bare, comma, filter_name = key.partition(",")
                flat[f"{prefix}{bare}_stderr{comma}{filter_name}"] = metric.stderr
    return flat | {"n": result.n_scored, "n_errored": result.n_errored}
