"""Status events: adapters report on their benchmarks, through their run's gateway or by hand."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from assay.model.errors import BadRequest
from assay.model.protocol import FENCE_HEADER, RUN_HEADER, STARTED_HEADER
from assay.model.results import Message, Report, Result, with_origin
from assay.model.shapes import read
from assay.model.states import Status
from assay.model.submission import EVENT, resolved_sha
from assay.scheduler.handover import StartAndReport, started_before
from assay.scheduler.identifiers import now, rfc3339
from assay.server.body import read_json
from assay.server.respond import no_content
from assay.server.services import caller, services
from assay.store.runs import ReportRun, StartRun

_MOST_DIGITS: Final = 18
"""Of a whole number in a header: so many fit 64 bits."""


async def report(request: Request) -> Response:
    """Take a status event."""
    at, who = services(request), caller(request)
    body = await read_json(request, at.settings.max_body_bytes, lambda posted: read(EVENT, "StatusEvent", posted))
    event = body["benchmark_status_event"]
    moment = now()
    status = Status(event["status"])
    ends = status in (Status.COMPLETED, Status.FAILED)
    asked = ReportRun(
        job_id=request.path_params["job_id"],
        # Adapters send no tenant. A tenant that is sent, or that a key is of, must be the job's.
        tenant=None if who.is_worker else who.tenant if who.key else who.tenant or None,
        provider_id=event["provider_id"],
        benchmark_id=event["id"],
        index=event["benchmark_index"],
        status=status,
        report=Report(
            phase=event.get("phase", ""),
            error_message=_message(event.get("error_message")),
            warning_message=_message(event.get("warning_message")),
            started_at=event.get("started_at", ""),
            completed_at=event.get("completed_at", ""),
            resolved_sha=_resolved_sha(event),
        ),
        result=_result(event) if ends else None,
        now=moment,
        at=rfc3339(moment),
        grace=round(at.settings.grace_seconds * 1_000_000),
        fence=_fence(request) if who.is_worker else None,
        run_id=request.headers.get(RUN_HEADER, "") if who.is_worker else "",
    )
    start = _start(request, asked) if who.is_worker else None
    await at.store.apply(StartAndReport(start, asked) if start else asked)
    return no_content()


def _message(given: dict[str, str] | None) -> Message | None:
    return with_origin(Message(**given)) if given else None


def _resolved_sha(event: dict[str, Any]) -> str:
    """Return the commit that the benchmark's test data came from; whatever is no commit is passed over."""
    sha = event.get("job_meta", {}).get("resolved_sha")
    return sha if resolved_sha(sha) else ""


def _result(event: dict[str, Any]) -> Result:
    return Result(
        metrics=event.get("metrics", {}),
        metrics_schema=event.get("metrics_schema", []),
        additional_info=event.get("additional_info", {}),
        artifacts=event.get("artifacts", {}),
        mlflow_run_id=event.get("mlflow_run_id", ""),
        logs_path=event.get("logs_path", ""),
    )


def _start(request: Request, asked: ReportRun) -> StartRun | None:
    """Return the start of the run, where its worker has not told of it yet."""
    run_id, _, milliseconds = request.headers.get(STARTED_HEADER, "").partition(" ")
    if not run_id or asked.fence is None:
        return None
    if not _whole(milliseconds):
        raise BadRequest(
            error=f"The header {STARTED_HEADER} must be a run's id, a blank, and a whole number of milliseconds."
        )
    return started_before(run_id, asked.fence, asked.now, int(milliseconds))


def _fence(request: Request) -> int | None:
    value = request.headers.get(FENCE_HEADER)
    if value is None:
        return None
    if not _whole(value):
        raise BadRequest(error=f"The header {FENCE_HEADER} must be the fence of a lease, a whole number.")
    return int(value)


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
