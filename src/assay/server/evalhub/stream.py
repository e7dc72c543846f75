"""Live events of a job, and of all jobs of a tenant. Paths of our own beside the EvalHub contract."""

from __future__ import annotations

from starlette.requests import Request

from assay.model.errors import NotFound, UnknownEvent
from assay.server.evalhub.queries import Parameters
from assay.server.services import caller, services
from assay.server.streams.answer import LiveAnswer
from assay.store.history import LastEvent
from assay.store.queries import JobVersion

_MOST_DIGITS = 18


async def of_job(request: Request) -> LiveAnswer:
    """Answer with the history of a job after the last event that the caller knows, then with what happens, as it happens."""
    at, job_id = services(request), request.path_params["job_id"]
    known, follow = await _asked(request)
    found = await at.store.lookup(JobVersion(job_id))
    if found is None or found[0] != caller(request).tenant:
        raise NotFound(kind="evaluation job", id=job_id)
    at.streams.enter()
    return LiveAnswer(at.streams, at.streams.of_job(job_id), known or 0, follow=follow)


async def of_tenant(request: Request) -> LiveAnswer:
    """Answer with what happens to the tenant's jobs from now on, or since the last event that the caller knows."""
    at, tenant = services(request), caller(request).tenant
    known, follow = await _asked(request)
    if known is None:
        # A server that has just started may find others in the middle of something, and no number that counts yet.
        known = await at.store.horizon() or await at.store.lookup(LastEvent())
    at.streams.enter()
    return LiveAnswer(at.streams, at.streams.of_tenant(tenant), known, follow=follow)


async def _asked(request: Request) -> tuple[int | None, bool]:
    """Return the last event that the caller knows (None: it does not say), and whether to go on after what there is."""
    parameters = Parameters(request)
    parameters.only_known(("last_event_id", "follow"))
    follow = parameters.flag("follow", True)
    given = request.headers.get("last-event-id") or parameters.text("last_event_id")
    if not given:
        return None, follow
    if not (given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS):
        raise UnknownEvent(value=given)
    known = int(given)
    if known > await services(request).store.lookup(LastEvent()):
        raise UnknownEvent(value=given)
    return known, follow
