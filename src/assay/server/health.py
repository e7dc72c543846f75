"""Health, metrics, and the API's own documentation."""

from __future__ import annotations

import asyncio
import os

from starlette.requests import Request
from starlette.responses import Response

from assay import __version__
from assay.build import commit
from assay.model.errors import AssayError
from assay.scheduler.identifiers import now, rfc3339
from assay.server.metrics import CONTENT_TYPE, gauges
from assay.server.respond import json_response
from assay.server.services import services
from assay.store.leases import ProveWriting
from assay.store.queries import Due


async def health(request: Request) -> Response:
    """Answer 200 while the store answers and takes what is written, else 503 with what is wrong."""
    at = services(request)
    body = {"status": "healthy", "timestamp": rfc3339(now()), "build": __version__} | known_commit()
    try:
        await at.store.lookup(Due())
        if at.store.failure is not None:
            await at.store.apply(ProveWriting(now()), urgent=True)
    except AssayError as error:
        return json_response(body | {"status": "unhealthy", "checks": {"store": error.message}}, 503)
    return json_response(body | {"checks": {"store": "ok"}, "pid": os.getpid()})


def known_commit() -> dict[str, str]:
    """Return the member that names the commit this server was installed from, if that is known."""
    return {"git_hash": found} if (found := commit()) else {}


async def metrics(request: Request) -> Response:
    """Answer with the Prometheus scrape."""
    at = services(request)
    standing = await gauges.ask(at.store)
    return Response(await asyncio.to_thread(at.metrics.render, standing), media_type=CONTENT_TYPE)
