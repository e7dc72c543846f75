"""What a run brings back: reports about its progress, and its result.

A *report* is what an adapter says of its benchmark (`benchmark_status_event` of the EvalHub contract); reports merge, so
that a later one never takes away what an earlier one said. A *result* is what a finished run measured. Both are stored as
JSON.
"""

from __future__ import annotations

import datetime
from typing import Any, Final

import msgspec

ORIGINS: Final = frozenset({"adapter", "sdk", "server", "runtime"})
"""Who can be the origin of a message; clients refuse to parse any other."""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """A sentence for people with a code for programs."""

    message: str
    message_code: str
    message_origin: str = ""


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """The visible facts of a run beside its state. Times are RFC 3339 text, kept as they were sent."""

    running: bool = False
    """An adapter said that it runs, though no worker has said so."""
    phase: str = ""
    error_message: Message | None = None
    warning_message: Message | None = None
    started_at: str = ""
    completed_at: str = ""
    resolved_sha: str = ""
    """The commit of the test data, as the first report that named one said."""


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run measured. `metrics` maps names to numbers, strings or booleans.

    Members are those of EvalHub's result row, in its order, for what is kept is shown as it is.
    """

    metrics: dict[str, Any] = {}
    metrics_schema: list[dict[str, str]] = []
    additional_info: dict[str, Any] = {}
    artifacts: dict[str, Any] = {}
    mlflow_run_id: str = ""
    logs_path: str = ""
    test: BenchmarkTest | None = None


class BenchmarkTest(msgspec.Struct, frozen=True, rename={"passed": "pass"}):
    """A benchmark's primary metric held against its threshold."""

    primary_score: int | float
    primary_score_metric: str
    threshold: int | float
    passed: bool


def merge(before: Report, after: Report) -> Report:
    """Return `before` with everything that `after` carries put over it; what `after` leaves out stays."""
    return Report(
        running=before.running or after.running,
        phase=after.phase or before.phase,
        error_message=after.error_message or before.error_message,
        warning_message=after.warning_message or before.warning_message,
        started_at=after.started_at or before.started_at,
        completed_at=after.completed_at or before.completed_at,
        resolved_sha=before.resolved_sha or after.resolved_sha,
    )


def took_s(report: Report, now: int) -> float | None:
    """Return the seconds from a run's start to its end, which is `now` where it named none; None for one without a start."""
    if not report.started_at:
        return None
    parse = datetime.datetime.fromisoformat
    try:
        began = parse(report.started_at.upper()).timestamp()
        ended = parse(report.completed_at.upper()).timestamp() if report.completed_at else now / 1_000_000
    except ValueError:
        return None
    return max(ended - began, 0.0)


def with_origin(message: Message) -> Message:
    """Return `message` with an origin that every client can parse: none becomes `runtime`, an unknown one `adapter`."""
    if message.message_origin in ORIGINS:
        return message
    return msgspec.structs.replace(message, message_origin="adapter" if message.message_origin else "runtime")


def full_schema(metrics: dict[str, Any], declared: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the declared metric types and, in the metrics' own order, `numeric` for every metric without one."""
    if not declared:
        return [{"name": name, "type": "numeric"} for name in metrics]
    known = {entry["name"] for entry in declared}
    return [*declared, *({"name": name, "type": "numeric"} for name in metrics if name not in known)]
