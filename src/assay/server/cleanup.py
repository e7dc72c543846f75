"""Cleans up on request: what the settings do not ask to keep any longer, as the server does by itself every hour."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from assay.server.evalhub.queries import Parameters
from assay.server.permissions import require_administrator
from assay.server.respond import json_response
from assay.server.services import services


async def cleanup(request: Request) -> Response:
    """Answer with what goes; unless `dry_run` says otherwise it goes now, in the background."""
    parameters = Parameters(request)
    dry_run = parameters.flag("dry_run")
    parameters.only_known(("dry_run",))
    require_administrator(request)
    at = services(request)
    going = await at.retention.clean(dry_run=True)
    if not dry_run:
        at.retention.ask()
    return json_response(asdict(going) | {"dry_run": dry_run}, 200 if dry_run else 202)
