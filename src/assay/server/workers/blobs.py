"""The files of runs, on their way to the workers: by digest, whole or from where a broken transfer stopped."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from assay.server.services import services

_FROM = re.compile(r"bytes=(\d{1,18})-")


async def get(request: Request) -> Response:
    """Answer with the bytes of a blob, from the one on that `Range: bytes=N-` names; any other Range is passed over."""
    digest = request.path_params["digest"]
    path = await services(request).inputs.path(digest)
    asked = _FROM.fullmatch(request.headers.get("range", ""))
    if not asked or int(asked[1]) >= path.stat().st_size:
        request.scope["headers"] = [header for header in request.scope["headers"] if header[0] != b"range"]
    headers = {"ETag": f'"{digest}"', "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, headers=headers, media_type="application/octet-stream")
