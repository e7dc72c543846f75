"""What a worker brings about one run: its start, its log, its artifacts, its end. Every call carries the lease's fence."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from assay.model.errors import BadRequest, StaleFence
from assay.model.identity import is_digest
from assay.model.protocol import OUTCOMES, ArtifactRef, Ending, GrantAnswer, Start
from assay.model.records import Run
from assay.scheduler.handover import HandOver, started_before
from assay.scheduler.identifiers import now, rfc3339
from assay.server.body import pieces, read_bytes, read_struct
from assay.server.evalhub.queries import Parameters
from assay.server.respond import json_response, no_content
from assay.server.services import services
from assay.store.base import log_topic
from assay.store.queries import RunById
from assay.store.queue import TakeRuns
from assay.store.runs import EndRun, StartRun

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


async def start(request: Request) -> Response:
    """The run's process has started."""
    at, moment = services(request), now()
    started = await read_struct(request, Start, 1 << 16)
    await at.store.apply(StartRun(request.path_params["run_id"], started.fence, moment, rfc3339(moment)))
    return no_content()


async def end(request: Request) -> Response:
    """An attempt has ended; the worker may have said nothing of its start yet, and may ask for another run in its place."""
    at, moment, run_id = services(request), now(), request.path_params["run_id"]
    ending = await read_struct(request, Ending, at.settings.max_body_bytes)
    if ending.outcome not in OUTCOMES:
        raise BadRequest(error=f"outcome must be one of: {', '.join(sorted(OUTCOMES))}")
    if not all(is_digest(artifact.digest) for artifact in ending.artifacts):
        raise BadRequest(error="the digest of an artifact must be sha256: and 64 hexadecimal digits, as its upload told it")
    grace = round(at.settings.grace_seconds * 1_000_000)
    start = take = None
    if ending.started_ms is not None:
        start = started_before(run_id, ending.fence, moment, ending.started_ms)
    if ask := ending.ask:
        lease_us = round(at.settings.lease_seconds * 1_000_000)
        take = TakeRuns(ask.worker, ask.incarnation, ask.free, moment, lease_us, at.quotas.current, ask.gpus)
    taken = await at.store.apply(HandOver(EndRun(run_id, ending, moment, rfc3339(moment), grace), start, take))
    job_id = ending.job_id
    if not job_id and (run := await at.store.lookup(RunById(run_id))):
        job_id = run.job_id
    if job_id:  # whoever follows the log need not wait for more
        at.store.announce([log_topic(job_id)])
    return json_response(GrantAnswer(leases=taken.leases)) if taken.leases else no_content()


async def log(request: Request) -> Response:
    """Append to the log of an attempt, at an offset; answer with the log's size."""
    at, parameters = services(request), Parameters(request)
    run = await _fenced(request, parameters)
    data = await read_bytes(request, at.settings.max_body_bytes)
    size = at.logs.append(run.job_id, run.index, run.attempts, parameters.count("offset", 0), data)
    at.store.announce([log_topic(run.job_id)])
    return json_response({"size": size})


async def artifact(request: Request) -> Response:
    """Store the body as a blob; answer with its reference, which the run's end then names."""
    at, parameters = services(request), Parameters(request)
    await _fenced(request, parameters)
    name = request.path_params["name"]
    if not _NAME.fullmatch(name):
        raise BadRequest(error=f"the artifact name '{name}' may only hold letters, digits, dots, dashes, underscores")
    with at.blobs.writer() as blob:
        async for piece in pieces(request):
            blob.write(piece)
        digest = blob.commit()
    media_type = request.headers.get("content-type", "application/octet-stream")
    return json_response(ArtifactRef(name, digest, blob.size, media_type), 201)


async def _fenced(request: Request, parameters: Parameters) -> Run:
    """Return the run if the request's fence is that of its present lease. Raises StaleFence."""
    run_id, fence = request.path_params["run_id"], parameters.count("fence", 0)
    run = await services(request).store.lookup(RunById(run_id))
    if run is None or run.fence != fence or run.worker is None:
        raise StaleFence(run=run_id, fence=fence)
    return run
