"""What has happened to a job: its events, in order. A path of our own beside the EvalHub contract."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from assay.model.errors import NotFound
from assay.server.evalhub.queries import Parameters
from assay.server.respond import json_response
from assay.server.services import caller, services
from assay.server.streams.frames import item_of
from assay.store.history import EventsOfJob
from assay.store.queries import JobVersion

_MOST = 1000


async def page(request: Request) -> Response:
    """Answer with events of a job after the sequence number `after`; `next` leads on while there are more."""
    at, job_id, parameters = services(request), request.path_params["job_id"], Parameters(request)
    after, limit = parameters.count("after", 0), min(parameters.count("limit", 100, least=1), _MOST)
    parameters.only_known(("after", "limit"))
    found = await at.store.lookup(JobVersion(job_id))
    if found is None or found[0] != caller(request).tenant:
        raise NotFound(kind="evaluation job", id=job_id)
    events = await at.store.lookup(EventsOfJob(job_id, after, limit + 1))
    items = [item_of(event) for event in events[:limit]]
    answer: dict[str, object] = {"items": items}
    if len(events) > limit:
        answer["next"] = {"href": f"{request.url.path}?after={events[limit - 1].seq}&limit={limit}"}
    return json_response(answer)
