"""Artifacts of a benchmark: list and download. A path of our own beside the EvalHub contract."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from assay.model.errors import NotFound
from assay.model.protocol import ArtifactRef
from assay.server.evalhub.queries import index_of
from assay.server.respond import json_response
from assay.server.services import caller, services
from assay.store.queries import ArtifactsOfRun, JobWithRuns


async def page(request: Request) -> Response:
    """Answer with the artifacts of a benchmark, by name."""
    return json_response({"items": await _artifacts(request)})


async def get(request: Request) -> Response:
    """Answer with the bytes of one artifact."""
    name = request.path_params["name"]
    for artifact in await _artifacts(request):
        if artifact.name == name:
            path = services(request).blobs.path(artifact.digest)
            if path.exists():
                headers = {"ETag": f'"{artifact.digest}"', "X-Content-Type-Options": "nosniff"}
                return FileResponse(path, headers=headers, media_type=artifact.media_type, filename=name)
    raise NotFound(kind="artifact", id=name)


async def _artifacts(request: Request) -> list[ArtifactRef]:
    at, job_id, given = services(request), request.path_params["job_id"], request.path_params["benchmark_index"]
    found = await at.store.lookup(JobWithRuns(job_id))
    if found is None or found[0].tenant != caller(request).tenant:
        raise NotFound(kind="evaluation job", id=job_id)
    runs = found[1]
    index = index_of(given)
    if index is None or index >= len(runs):
        raise NotFound(kind="benchmark", id=given)
    return await at.store.lookup(ArtifactsOfRun(runs[index].id))
