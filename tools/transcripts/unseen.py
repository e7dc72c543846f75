"""What the record uses without showing how it was made: providers, a collection and jobs of the section about defects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

API = "/api/v1/evaluations"
MODEL = {"url": "http://127.0.0.1:9/v1", "name": "m1"}


@dataclass(frozen=True)
class Made:
    """Something to make before a section: `recorded` is its id in the record, `kind` the end of the path to post to."""

    section: int
    recorded: str
    kind: str
    body: dict[str, Any]
    headers: dict[str, str]


_JUDGED = {"id": "b1", "primary_score": {"metric": "acc"}, "pass_criteria": {"threshold": 0.5}}
_PROVIDER = "1c0cbb50-caf1-4fb7-a6d9-23a65b3f4313"
_TEAM_PROVIDER = "ec40bce3-34f5-41a5-86cc-72a3cfdee75c"
_COLLECTION = "091ed0b0-9f8a-4b27-9b74-c486ee805290"

MADE = (
    Made(13, _PROVIDER, "providers", {"name": "judged", "benchmarks": [_JUDGED]}, {}),
    Made(13, _TEAM_PROVIDER, "providers", {"name": "team", "benchmarks": [{"id": "b1"}]}, {"X-Tenant": "team-a"}),
    Made(
        13,
        _COLLECTION,
        "collections",
        {"name": "short-lived", "category": "c", "benchmarks": [{"id": "b1", "provider_id": _PROVIDER}]},
        {},
    ),
    Made(
        13,
        "9a046813-314c-42c7-a5a2-1fa39bf14196",
        "jobs",
        {"name": "orphan", "model": MODEL, "collection": {"id": _COLLECTION}},
        {},
    ),
)

_OF_THE_SERVER = ("resource", "status", "results")


def submission(recorded: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body and headers with which a recorded job can have been submitted."""
    body = {name: value for name, value in recorded.items() if name not in _OF_THE_SERVER}
    resource = recorded["resource"]
    names = {"X-Tenant": resource.get("tenant"), "X-User": resource.get("owner")}
    return body, {name: value for name, value in names.items() if value}


def events(recorded: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the status events that lead to a recorded job."""
    metrics = {row["benchmark_index"]: row.get("metrics", {}) for row in recorded["results"].get("benchmarks", [])}
    return [{**row, "metrics": metrics.get(row["benchmark_index"], {})} for row in recorded["status"].get("benchmarks", [])]
