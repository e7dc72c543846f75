"""Evaluation jobs: submit, read, list, cancel, delete."""

from __future__ import annotations

import asyncio
import time

from starlette.requests import Request
from starlette.responses import Response

from assay.model.errors import NotFound
from assay.model.records import Job, Run
from assay.model.shapes import read
from assay.model.submission import JOB
from assay.scheduler import admission
from assay.scheduler.identifiers import now
from assay.server.body import read_json
from assay.server.evalhub.filters import PARAMETERS as FILTERS
from assay.server.evalhub.filters import job_filter
from assay.server.evalhub.paging import kept_page, page_of
from assay.server.evalhub.queries import Parameters
from assay.server.evalhub.rendering import job_document
from assay.server.respond import is_current, json_bytes, no_content
from assay.server.services import Services, bounded, caller, services
from assay.store.base import job_topic
from assay.store.jobs import CancelJob, DeleteJob
from assay.store.pages import JobFilter, JobsWithRuns, PageVersions
from assay.store.queries import JobVersion, JobWithRuns

LIST_PARAMETERS = ("limit", "offset", *FILTERS)
_LONGEST_WAIT_S = 60.0


async def create(request: Request) -> Response:
    """Accept a submission."""
    at = services(request)
    body = read(JOB, "EvaluationJobConfig", await read_json(request, at.settings.max_body_bytes))
    who = caller(request)
    key = bounded(request, "Idempotency-Key")
    job, runs = await admission.submit(
        at.store, at.offerings, at.settings, body, tenant=who.tenant, owner=who.user, idempotency_key=key
    )
    return submitted(job, runs)


def submitted(job: Job, runs: list[Run]) -> Response:
    """Return the answer to a submission."""
    return json_bytes(job_document(job, runs, created=True), 202)


async def get(request: Request) -> Response:
    """Answer with a job; with `If-None-Match` and `Prefer: wait=N`, as soon as it changes."""
    at, job_id = services(request), request.path_params["job_id"]
    tenant = caller(request).tenant
    wanted = request.headers.get("if-none-match", "")
    wait_s = _preferred_wait(request) if wanted else 0.0
    deadline = time.monotonic() + wait_s
    while True:
        ticket = at.store.signals.ticket([job_topic(job_id)]) if wait_s else None
        version = await _version(at, tenant, job_id)
        if version is None:
            if ticket:
                ticket.drop()
            raise NotFound(kind="evaluation job", id=job_id)
        etag = f'"{version}"'
        if not is_current(wanted, etag):
            if ticket:
                ticket.drop()
            document = at.documents.get(job_id, version)
            if document is None:
                job, runs = await _job(at, job_id)
                document = at.documents.put(job_id, job.version, job_document(job, runs))
                etag = f'"{job.version}"'
            return json_bytes(document, headers={"ETag": etag})
        left = deadline - time.monotonic()
        if ticket is None or left <= 0 or at.store.signals.closed or not await ticket.wait(left):
            return Response(status_code=304, headers={"ETag": etag})


async def page(request: Request) -> Response:
    """Answer with a page of jobs, newest first."""
    at, tenant = services(request), caller(request).tenant

    async def make(parameters: Parameters) -> bytes:
        limit, offset = parameters.count("limit", 50), parameters.count("offset", 0)
        where = job_filter(parameters, tenant)
        parameters.only_known(LIST_PARAMETERS)
        versions, total = await _versions(at, where, limit, offset)
        documents = {job_id: at.documents.get(job_id, version) for job_id, version in versions}
        missing = tuple(job_id for job_id, document in documents.items() if document is None)
        if missing:
            for job, runs in await at.store.scan(JobsWithRuns(missing)):
                documents[job.id] = at.documents.put(job.id, job.version, job_document(job, runs))
        items = (document[:-1] for document in documents.values() if document is not None)
        return page_of(parameters, limit, offset, total, items)

    return await kept_page(request, make)


async def delete(request: Request) -> Response:
    """Cancel a job, or delete it for good with `hard_delete=true`."""
    at, job_id = services(request), request.path_params["job_id"]
    tenant = caller(request).tenant
    hard = Parameters(request).flag("hard_delete")
    if hard:
        await at.store.apply(DeleteJob(job_id, tenant))
        await asyncio.to_thread(at.logs.remove, job_id)
    else:
        await at.store.apply(CancelJob(job_id, tenant, now()))
    return no_content()


async def _versions(at: Services, where: JobFilter, limit: int, offset: int) -> tuple[list[tuple[str, int]], int]:
    """Return what is on a page, and the total: counted once for all pages of a filter while nothing is written."""
    key, generation = f"total\0{where!r}", await at.store.generation()
    kept = at.pages.get(key, generation)
    versions, total = await at.store.scan(PageVersions(where, limit, offset, None if kept is None else int(kept)))
    if kept is None:
        at.pages.put(key, generation, b"%d" % total)
    return versions, total


async def _version(at: Services, tenant: str, job_id: str) -> int | None:
    """Return the version of a job, None for one of another tenant; from memory while nothing has been written."""
    key = f"{tenant}\0{job_id}"
    # Read first: what is written while the store is asked must make the answer stale.
    generation = await at.store.generation() if at.store.writes_alone else None
    kept = at.pages.get(key, generation) if generation is not None else None
    if kept is not None:
        return int(kept)
    found = await at.store.lookup(JobVersion(job_id))
    if found is None or found[0] != tenant:
        return None
    if generation is not None:
        at.pages.put(key, generation, b"%d" % found[1])
    return found[1]


async def _job(at: Services, job_id: str) -> tuple[Job, list[Run]]:
    found = await at.store.lookup(JobWithRuns(job_id))
    if found is None:
        raise NotFound(kind="evaluation job", id=job_id)
    return found


def _preferred_wait(request: Request) -> float:
    """Return the seconds of a `Prefer: wait=N` header (RFC 7240), 0 without one."""
    for preference in request.headers.get("prefer", "").split(","):
        name, _, value = preference.strip().partition("=")
        if name.lower() == "wait" and value.isascii() and value.isdigit():
            return min(float(value), _LONGEST_WAIT_S)
    return 0.0
