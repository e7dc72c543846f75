"""Health, metrics, and how much room things take."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from assay.scheduler.identifiers import rfc3339
from assay.server.metrics import CONTENT_TYPE, gauges
from assay.server.respond import JsonResponse, json_response
from assay.server.services import Services, caller, services
from assay.server.storage import parts


async def health(request: Request) -> Response:
    """Answer 200 while the store answers and takes what is written, else 503 with what is wrong."""
    return await services(request).pulse.take()


def kept_health(at: Services) -> JsonResponse | None:
    """Return the same answer, if it is still the one."""
    return at.pulse.kept()


async def usage(request: Request) -> Response:
    """Answer with how much room everything takes."""
    caller(request)  # refuses names that are none, as every route does
    found = await services(request).storage.measure()
    return json_response({"measured_at": rfc3339(found.at)} | {f"{part}_bytes": n for part, n in parts(found).items()})


async def metrics(request: Request) -> Response:
    """Answer with the Prometheus scrape."""
    at = services(request)
    kept = {"jobs": at.documents.size, "pages": at.pages.size}
    standing = await gauges.ask(at.store, parts(await at.storage.measure()), at.streams.watchers, kept)
    return Response(await asyncio.to_thread(at.metrics.render, standing), media_type=CONTENT_TYPE)
