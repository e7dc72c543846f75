"""Evaluation jobs: submit, read, list, cancel, delete."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from assay.model.errors import NotFound, QueryValueNotAllowed
from assay.model.identity import digest
from assay.model.records import Job, Run
from assay.model.submission import JOB
from assay.scheduler import admission
from assay.scheduler.identifiers import now
from assay.server.body import read_json
from assay.server.evalhub.filters import PARAMETERS as FILTERS
from assay.server.evalhub.filters import job_filter
from assay.server.evalhub.paging import Window, kept_page, page_of
from assay.server.evalhub.queries import Parameters
from assay.server.evalhub.rendering import job_document, job_summary
from assay.server.evalhub.unknown import read_warned
from assay.server.permissions import author, code_of_job, owners_only, require_code_permission, require_owner
from assay.server.respond import REQUEST_ID, is_current, json_bytes, no_content
from assay.server.services import Services, bounded, caller, services
from assay.store.base import job_topic
from assay.store.jobs import CancelJob, DeleteJob
from assay.store.pages import JobFilter, JobsAlone, JobsWithRuns, PageVersions
from assay.store.queries import JobVersion, JobWithRuns

LIST_PARAMETERS = ("limit", "offset", *FILTERS, "fields")
_LONGEST_WAIT_S = 60.0


async def create(request: Request) -> Response:
    """Accept a submission."""
    at = services(request)
    who = author(request)
    limit = at.settings.max_body_bytes
    body, warning = await read_json(request, limit, lambda given: read_warned(JOB, "EvaluationJobConfig", given))
    require_code_permission(request, code_of_job(body))
    key = bounded(request, "Idempotency-Key") or _key_of_request(request, body)
    job, runs = await admission.submit(
        at.store, at.offerings, at.inputs, at.settings, body, tenant=who.tenant, owner=who.user, idempotency_key=key
    )
    return submitted(job, runs, warning)


def _key_of_request(request: Request, body: dict[str, Any]) -> str:
    """Return the key by which a repetition of a request is known: the id that its sender gave it, and what it asks for.

    Empty without an id. Senders that give one id to several requests make a job for each body.
    """
    given = request.headers.get(REQUEST_ID, "")
    if not given or given != request.scope["assay.request_id"]:
        return ""
    return f"request {given} {digest(msgspec.json.encode(body).decode())}"


def submitted(job: Job, runs: list[Run], headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer to a submission."""
    return json_bytes(job_document(job, runs, created=True), 202, headers)


async def get(request: Request) -> Response:
    """Answer with a job; with `If-None-Match` and `Prefer: wait=N`, as soon as it changes."""
    at, job_id = services(request), request.path_params["job_id"]
    tenant = caller(request).tenant
    wanted = request.headers.get("if-none-match", "")
    wait_s = _preferred_wait(request) if wanted else 0.0
    deadline = time.monotonic() + wait_s
    while True:
        ticket = at.store.signals.ticket([job_topic(job_id)]) if wait_s else None
        try:
            etag, document = await _document(at, tenant, job_id, wanted)
            if document is not None:
                return json_bytes(document, headers={"ETag": etag})
            left = deadline - time.monotonic()
            if ticket is None or left <= 0 or at.store.signals.closed or not await ticket.wait(left):
                return Response(status_code=304, headers={"ETag": etag})
        finally:
            if ticket:
                ticket.drop()


async def page(request: Request) -> Response:
    """Answer with a page of jobs, newest first."""
    at, tenant = services(request), caller(request).tenant

    async def make(parameters: Parameters) -> bytes:
        window = Window.of(parameters, at.settings.max_page_items)
        where = job_filter(parameters, tenant)
        fields = parameters.text("fields")
        parameters.only_known(LIST_PARAMETERS)
        if fields not in ("", "summary"):
            raise QueryValueNotAllowed(name="fields", values="summary")
        versions, total = await _versions(at, where, window.size, window.offset)
        if fields:
            jobs = await at.store.scan(JobsAlone(tuple(job_id for job_id, _ in versions)))
            return page_of(parameters, window, total, map(job_summary, jobs))
        documents = {job_id: at.documents.get(job_id, version) for job_id, version in versions}
        missing = tuple(job_id for job_id, document in documents.items() if document is None)
        if missing:
            for job, runs in await at.store.scan(JobsWithRuns(missing)):
                documents[job.id] = at.documents.put(job.id, job.version, job_document(job, runs))
        items = (document[:-1] for document in documents.values() if document is not None)
        return page_of(parameters, window, total, items)

    return await kept_page(request, make)


async def delete(request: Request) -> Response:
    """Cancel a job, or delete it for good with `hard_delete=true`."""
    at, job_id = services(request), request.path_params["job_id"]
    tenant = caller(request).tenant
    if await _version(at, tenant, job_id, await _generation(at)) is None:
        raise NotFound(kind="evaluation job", id=job_id)
    hard = Parameters(request).flag("hard_delete")
    await require_owner_of_job(request, job_id)
    if hard:
        await at.store.apply(DeleteJob(job_id, tenant, now()))
        await asyncio.to_thread(at.logs.folders.remove, [job_id])
    else:
        await at.store.apply(CancelJob(job_id, tenant, now()))
    return no_content()


async def _versions(at: Services, where: JobFilter, limit: int, offset: int) -> tuple[list[tuple[str, int]], int]:
    """Return what is on a page, and the total: counted once for all pages of a filter while nothing is written."""
    key, generation = f"total\0{where!r}", await at.generation()
    kept = at.pages.get(key, generation)
    versions, total = await at.store.scan(PageVersions(where, limit, offset, None if kept is None else int(kept)))
    if kept is None:
        at.pages.put(key, generation, b"%d" % total)
    return versions, total


async def require_owner_of_job(request: Request, job_id: str) -> None:
    """Raise NotOwner where a job is another's and the settings leave it to its owner. Owners never change."""
    if owners_only(request):
        found = await services(request).store.lookup(JobWithRuns(job_id))
        if found is not None and found[0].tenant == caller(request).tenant:
            require_owner(request, "evaluation job", job_id, found[0].owner)


async def _document(at: Services, tenant: str, job_id: str, wanted: str) -> tuple[str, bytes | None]:
    """Return the ETag of a job and its document, or None in its place if that is what `wanted` has. Raises NotFound."""
    generation = await _generation(at)
    if wanted or at.documents.keeps(job_id):
        version = await _version(at, tenant, job_id, generation)
        if version is None:
            raise NotFound(kind="evaluation job", id=job_id)
        if is_current(wanted, etag := f'"{version}"'):
            return etag, None
        if document := at.documents.get(job_id, version):
            return etag, document
    found = await at.store.lookup(JobWithRuns(job_id))
    if found is None or found[0].tenant != tenant:
        raise NotFound(kind="evaluation job", id=job_id)
    job, runs = found
    _keep_version(at, tenant, job_id, job.version, generation)
    return f'"{job.version}"', at.documents.put(job_id, job.version, job_document(job, runs))


async def _generation(at: Services) -> Hashable | None:
    """Return the generation of what is kept; None where asking for it costs as much as asking for a job."""
    return await at.generation() if at.store.writes_alone else None


async def _version(at: Services, tenant: str, job_id: str, generation: Hashable | None) -> int | None:
    """Return the version of a job, None for one of another tenant; from memory while nothing has been written."""
    kept = at.pages.get(f"job\0{tenant}\0{job_id}", generation) if generation is not None else None
    if kept is not None:
        return int(kept)
    found = await at.store.lookup(JobVersion(job_id))
    if found is None or found[0] != tenant:
        return None
    _keep_version(at, tenant, job_id, found[1], generation)
    return found[1]


def _keep_version(at: Services, tenant: str, job_id: str, version: int, generation: Hashable | None) -> None:
    """Keep the version that a job had in a generation."""
    if generation is not None:
        at.pages.put(f"job\0{tenant}\0{job_id}", generation, b"%d" % version)


def _preferred_wait(request: Request) -> float:
    """Return the seconds of a `Prefer: wait=N` header (RFC 7240), 0 without one."""
    for preference in request.headers.get("prefer", "").split(","):
        name, _, value = preference.strip().partition("=")
        if name.lower() == "wait" and value.isascii() and value.isdigit():
            return min(float(value), _LONGEST_WAIT_S)
    return 0.0
