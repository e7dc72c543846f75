"""Benchmarks across all providers, and what can be done to one benchmark of a job. Paths of our own."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from assay.model.errors import NotFound
from assay.scheduler import reruns
from assay.scheduler.identifiers import now
from assay.server.body import read_json
from assay.server.evalhub.jobs import require_owner_of_job, submitted
from assay.server.evalhub.paging import Window, kept_page, page_of
from assay.server.evalhub.queries import Parameters, index_of, matches
from assay.server.evalhub.unknown import read_warned
from assay.server.permissions import author
from assay.server.respond import dump, no_content
from assay.server.services import caller, services
from assay.store.jobs import CancelRun

LIST_PARAMETERS = ("limit", "offset", "provider_id", "id", "name", "category", "tags")


async def page(request: Request) -> Response:
    """Answer with a page of benchmarks, each with its provider's id."""
    at, tenant = services(request), caller(request).tenant

    async def make(parameters: Parameters) -> bytes:
        window = Window.of(parameters, at.settings.max_page_items)
        scalars = {name: match for name in ("id", "name", "category") if (match := parameters.scalar(name))}
        provider, tags = parameters.scalar("provider_id"), parameters.listed("tags")
        parameters.only_known(LIST_PARAMETERS)
        found = [
            {"provider_id": entry.id, **benchmark}
            for entry in await at.offerings.entries("provider", tenant)
            if not provider or matches(provider, {entry.id})
            for benchmark in entry.body["benchmarks"]
            if all(matches(match, {benchmark[name]}) for name, match in scalars.items())
            and (not tags or matches(tags, set(benchmark.get("tags", []))))
        ]
        return page_of(parameters, window, len(found), map(dump, window.of_list(found)))

    return await kept_page(request, make)


async def cancel(request: Request) -> Response:
    """Cancel one benchmark of a job; the others go on."""
    at, job_id, given = services(request), request.path_params["job_id"], request.path_params["benchmark_index"]
    index = index_of(given)
    if index is None:
        raise NotFound(kind="benchmark", id=given)
    await require_owner_of_job(request, job_id)
    await at.store.apply(CancelRun(job_id, index, caller(request).tenant, now()))
    return no_content()


async def rerun(request: Request) -> Response:
    """Make a new job from the plans of an old one: all its benchmarks, or only those that failed."""
    at, who = services(request), author(request)
    limit = at.settings.max_body_bytes
    asked, warning = await read_json(request, limit, lambda given: read_warned(reruns.RERUN, "RerunConfig", given), empty={})
    job, runs = await reruns.rerun(
        at.store,
        request.path_params["job_id"],
        asked,
        tenant=who.tenant,
        owner=who.user,
        max_open_jobs=at.settings.max_open_jobs,
    )
    return submitted(job, runs, warning)
