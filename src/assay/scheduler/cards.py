"""The evaluation card: what was evaluated and what came of it, in one JSON document that other systems keep.

Its form is EvalHub's card 1.0. Members that are empty are left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from assay.model.messages import job_message
from assay.model.records import Job, Run
from assay.model.results import BenchmarkTest
from assay.scheduler.identifiers import rfc3339
from assay.store.rows import report_of, result_of

NAME = "evaluation-card.json"
_UNKEYED = re.compile(r"[^A-Za-z0-9_\-. :/]")
_LONGEST_KEY = 250
_FROM_SUBMISSION = ("id", "provider_id", "parameters", "primary_score", "pass_criteria", "weight")


def card(job: Job, runs: list[Run]) -> dict[str, Any]:
    """Return the card of a job that has ended."""
    spec = msgspec.json.decode(job.spec)
    context: dict[str, Any] = {"model": _model(spec["model"])}
    results: dict[str, Any] = {
        "status": {"state": job.state, "message": msgspec.to_builtins(_message(job, runs))},
        "benchmarks": [_row(run) for run in runs],
    }
    if job.collection:
        context["collection_id"] = job.collection
        if job.test:
            results["collection"] = {"test": _only(msgspec.json.decode(job.test), ("score", "threshold", "pass"))}
    else:
        context["benchmarks"] = [_only(benchmark, _FROM_SUBMISSION) for benchmark in spec.get("benchmarks", [])]
    times = {"created_at": rfc3339(job.created_at), "updated_at": rfc3339(job.updated_at)}
    return {
        "card_version": "1.0",
        "schema_version": "1.0",
        "metadata": {"evaluation_job_id": job.id, **times},
        "context": context,
        "results": results,
    }


def figures(runs: list[Run]) -> dict[str, float]:
    """Return every finite number that the benchmarks measured, by a name that MLflow takes: `benchmark/metric`.

    The names of benchmarks that a job has more than once get their place in it: `benchmark.1/metric`.
    """
    ids = [run.benchmark_id for run in runs]
    found: dict[str, float] = {}
    for run in runs:
        result = result_of(run)
        name = run.benchmark_id if ids.count(run.benchmark_id) == 1 else f"{run.benchmark_id}.{run.index}"
        for metric, value in (result.metrics if result else {}).items():
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                found[_key(f"{name}/{metric}")] = float(value)
    return found


def _key(name: str) -> str:
    """Return a name as MLflow takes it: of few characters, and read as a path it must lead nowhere else."""
    parts = (part if part.strip(".") else "_" * len(part) for part in _UNKEYED.sub("_", name).split("/") if part)
    return "/".join(parts)[:_LONGEST_KEY]


def _message(job: Job, runs: list[Run]) -> Any:
    return job_message(job.state, ((run.benchmark_id, run.status, report_of(run).error_message) for run in runs))


def _model(model: Mapping[str, Any]) -> dict[str, Any]:
    shown = {"url": model.get("url"), "name": model["name"], "model_card_url": model.get("card_url")}
    return {name: value for name, value in shown.items() if value}


def _row(run: Run) -> dict[str, Any]:
    report, result = report_of(run), result_of(run)
    row: dict[str, Any] = {"id": run.benchmark_id, "provider_id": run.provider_id, "status": run.status}
    for name in ("error_message", "warning_message"):
        if message := getattr(report, name):
            row[name] = msgspec.to_builtins(message)
    if result:
        names = ("metrics", "metrics_schema", "additional_info", "artifacts", "mlflow_run_id", "logs_path")
        row |= {name: getattr(result, name) for name in names if getattr(result, name)}
        if result.test:
            row["test"] = _test(result.test)
    return row


def _test(test: BenchmarkTest) -> dict[str, Any]:
    shown = {"primary_score": _shortest(test.primary_score), "threshold": _shortest(test.threshold)}
    return {**shown, "pass": test.passed}


def _shortest(value: float) -> str:
    """Return a number in the shortest text that means it: `0.9`, `1`."""
    return repr(value).removesuffix(".0")


def _only(value: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: value[name] for name in names if value.get(name) not in (None, "", [], {})}
