"""Health and metrics."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from assay.server.metrics import CONTENT_TYPE, gauges
from assay.server.services import services


async def health(request: Request) -> Response:
    """Answer 200 while the store answers and takes what is written, else 503 with what is wrong."""
    return await services(request).pulse.take()


async def metrics(request: Request) -> Response:
    """Answer with the Prometheus scrape."""
    at = services(request)
    standing = await gauges.ask(at.store)
    return Response(await asyncio.to_thread(at.metrics.render, standing), media_type=CONTENT_TYPE)
