"""Results as CSV: one row for every metric of every benchmark of the jobs that a filter selects."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from assay.model.errors import NotFound
from assay.model.records import Job, Run
from assay.scheduler.identifiers import rfc3339
from assay.server.evalhub.filters import PARAMETERS, job_filter
from assay.server.evalhub.queries import Parameters
from assay.server.respond import Streamed
from assay.server.services import Services, caller, services
from assay.store.pages import JobFilter, JobsWithRuns, PageVersions
from assay.store.queries import JobWithRuns
from assay.store.rows import result_of

_COLUMNS = (
    "job_id", "job_name", "created_at", "model", "state", "provider_id", "benchmark_id", "benchmark_index", "status",
    "metric", "value", "stderr", "threshold", "pass",
)  # fmt: skip
_PAGE = 200


async def of_job(request: Request) -> Response:
    """Answer with the results of one job."""
    at, job_id = services(request), request.path_params["job_id"]
    found = await at.store.lookup(JobWithRuns(job_id))
    if found is None or found[0].tenant != caller(request).tenant:
        raise NotFound(kind="evaluation job", id=job_id)
    body = _text([_COLUMNS, *_rows(*found)])
    return Response(body, media_type="text/csv; charset=utf-8", headers=_attachment(f"{job_id}.csv"))


async def of_jobs(request: Request) -> Response:
    """Answer with the results of all jobs that the filters of the job list select, newest first."""
    at, parameters = services(request), Parameters(request)
    where = job_filter(parameters, caller(request).tenant)
    parameters.only_known(PARAMETERS)
    return Streamed(_pages(at, where), media_type="text/csv; charset=utf-8", headers=_attachment("results.csv"))


async def _pages(at: Services, where: JobFilter) -> AsyncIterator[str]:
    yield _text([_COLUMNS])
    before = where.before
    while True:
        page = JobFilter(where.tenant, where.matches, where.since, before)
        versions, _ = await at.store.scan(PageVersions(page, _PAGE, 0, total=0))
        if not versions:
            return
        ids = tuple(job_id for job_id, _ in versions)
        for job, runs in await at.store.scan(JobsWithRuns(ids)):
            yield _text(_rows(job, runs))
        before = ids[-1]


def _rows(job: Job, runs: list[Run]) -> Iterator[tuple[Any, ...]]:
    for run in runs:
        head = (job.id, job.name, rfc3339(job.created_at), job.model, job.state.value)
        named = (*head, run.provider_id, run.benchmark_id, run.index, run.status.value)
        result = result_of(run)
        metrics = result.metrics if result else {}
        if not metrics:
            yield (*named, "", "", "", "", "")
        for metric, value in metrics.items():
            if "_stderr" in metric:
                continue
            test = result.test if result and result.test and result.test.primary_score_metric == metric else None
            stderr = metrics.get(_stderr_of(metric), "")
            yield (*named, metric, value, stderr, test.threshold if test else "", test.passed if test else "")


def _stderr_of(metric: str) -> str:
    bare, comma, filter_name = metric.partition(",")
    return f"{bare}_stderr{comma}{filter_name}"


def _text(rows: Any) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([[_safe(cell) for cell in row] for row in rows])
    return out.getvalue()


def _safe(cell: Any) -> Any:
    """Return a cell in the words of JSON that a spreadsheet will not take for a formula."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
