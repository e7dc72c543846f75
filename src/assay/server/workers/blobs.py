"""The files of runs, on their way to the workers: by digest, whole or from where a broken transfer stopped."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from assay.server.services import services


async def get(request: Request) -> Response:
    """Answer with the bytes of a blob, or with the range of it that is asked for (RFC 9110, 14)."""
    digest = request.path_params["digest"]
    path = await services(request).inputs.path(digest)
    headers = {"ETag": f'"{digest}"', "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, headers=headers, media_type="application/octet-stream")
