"""Answers: JSON as EvalHub clients expect it, and errors that say what to do next."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from assay import eventloop
from assay.model.errors import AssayError, PlainNotFound

_encode = msgspec.json.Encoder().encode
REQUEST_ID = "X-Global-Transaction-Id"
"""The header that names a request, given by its sender or by us."""


class JsonResponse(Response):
    """JSON that is rendered already. Nearly every answer is one, so its two headers are put together by hand."""

    def __init__(self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status_code, self.body, self.background = status, body, None
        self.raw_headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        for name, value in (headers or {}).items():
            self.raw_headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))


class Streamed(StreamingResponse):
    """An answer in pieces, given up when its reader hangs up.

    Where they come from is then cancelled once: Starlette's own does it again and again, also while a connection to the
    database is being given back in order.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        sending = asyncio.create_task(self.stream_response(send))
        leaving = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await eventloop.end(leaving)
            await eventloop.end(sending)
        if not sending.cancelled():
            sending.result()


def dump(value: Any) -> bytes:
    """Return compact JSON with `&`, `<` and `>` escaped, so that it may stand inside a page."""
    return escape(_encode(value))


def escape(encoded: bytes) -> bytes:
    """Return JSON text with `&`, `<` and `>` escaped; they occur in strings only."""
    return encoded.replace(b"&", b"\\u0026").replace(b"<", b"\\u003c").replace(b">", b"\\u003e")


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> JsonResponse:
    """Return a JSON answer with a final newline."""
    return JsonResponse(dump(value) + b"\n", status, headers)


def json_bytes(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer of JSON that is rendered already."""
    return JsonResponse(body, status, headers)


def is_current(if_none_match: str, etag: str) -> bool:
    """Say whether an If-None-Match header (RFC 9110, 13.1.2) names `etag`: a list of tags, weak or strong, or `*`."""
    if not if_none_match or if_none_match == etag:
        return bool(if_none_match)
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags


def no_content() -> Response:
    """Return 204."""
    return Response(status_code=204)


def error_response(error: AssayError, request_id: str) -> Response:
    """Return an error: its stable code, its sentence (twice: some clients read `detail`), and the request's id."""
    if isinstance(error, PlainNotFound):
        return Response(b"404 page not found\n", 404, {"X-Content-Type-Options": "nosniff"}, "text/plain")
    headers = {"X-Content-Type-Options": "nosniff", **error.headers}
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    body = {"message_code": error.code, "message": error.message, "trace": request_id, "detail": error.message}
    return json_response(body, error.status, headers)
