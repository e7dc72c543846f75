"""Bodies for the API's description. The server accepts each of them as it is; a test posts them all."""

from __future__ import annotations

from typing import Any, Final

from assay.model.protocol import PROTOCOL

JOB: Final[dict[str, Any]] = {
    "name": "first",
    "model": {"url": "http://127.0.0.1:8400/v1", "name": "practice"},
    "benchmarks": [{"provider_id": "practice", "id": "arithmetic", "parameters": {"num_examples": 10}}],
    "tags": ["nightly"],
}
EVENT: Final[dict[str, Any]] = {
    "benchmark_status_event": {
        "provider_id": "practice",
        "id": "arithmetic",
        "benchmark_index": 0,
        "status": "completed",
        "metrics": {"accuracy": 0.9},
    }
}
RERUN: Final[dict[str, Any]] = {"benchmarks": "all", "name": "second"}
PROVIDER: Final[dict[str, Any]] = {
    "name": "mine",
    "title": "My benchmarks",
    "benchmarks": [
        {
            "id": "smoke",
            "name": "Smoke test",
            "category": "general",
            "primary_score": {"metric": "accuracy"},
            "pass_criteria": {"threshold": 0.5},
        }
    ],
    "runtime": {"local": {"command": "python my_adapter.py"}},
}
COLLECTION: Final[dict[str, Any]] = {
    "name": "release",
    "category": "general",
    "pass_criteria": {"threshold": 0.7},
    "benchmarks": [{"provider_id": "practice", "id": "arithmetic", "weight": 2}],
}
PATCH: Final[list[dict[str, Any]]] = [
    {"op": "replace", "path": "/name", "value": "renamed"},
    {"op": "add", "path": "/tags", "value": ["nightly"]},
]
CLONE: Final[dict[str, Any]] = {"name": "release of my own"}
WEBHOOK: Final[dict[str, Any]] = {
    "url": "https://hooks.example/assay",
    "events": ["assay.job.completed", "assay.job.failed"],
    "tags": ["nightly"],
}
WEBHOOK_CHANGE: Final[dict[str, Any]] = {"paused": True}
OF_RESOURCE: Final[dict[str, dict[str, Any]]] = {"provider": PROVIDER, "collection": COLLECTION}

REGISTRATION: Final[dict[str, Any]] = {
    "name": "machine-1",
    "incarnation": "5f0c",
    "slots": 2,
    "engines": {"adapter": "1"},
    "protocol": PROTOCOL,
    "cpus": 8,
    "memory": 34359738368,
    "gpus": [{"id": "0", "name": "NVIDIA H200", "memory": 150754820096}],
    "labels": {"site": "berlin"},
}
LEASE: Final[dict[str, Any]] = {"incarnation": "5f0c", "free": 2, "wait_s": 0}
HEARTBEAT: Final[dict[str, Any]] = {"incarnation": "5f0c", "holding": []}
START: Final[dict[str, Any]] = {"fence": 1}
ENDING: Final[dict[str, Any]] = {"fence": 1, "outcome": "completed", "metrics": {"accuracy": 0.9}}
KEY: Final[dict[str, Any]] = {"name": "ann", "roles": ["user"], "tenant": "team-a", "expires_in_seconds": 7776000}
