"""Answers as HTTP: JSON documents, server-sent events, errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from assay.practice.faults import Fault
from assay.practice.replies import Reply
from assay.practice.wire import ApiError


def json_response(document: dict[str, Any]) -> Response:
    """200 with `document`."""
    return raw_response(msgspec.json.encode(document))


def raw_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer that claims to be JSON."""
    return Response(body, status, headers, media_type="application/json")


def whole(reply: Reply, met: Fault | None) -> Response:
    """The answer as one document; half of it where the fault says so."""
    body = msgspec.json.encode(reply.document())
    return raw_response(body[: len(body) // 2] if met is Fault.BAD_JSON else body)


def stream(reply: Reply, met: Fault | None, *, with_usage: bool) -> Response:
    """The answer as server-sent events; broken or cut half way where the fault says so."""
    documents = list(reply.chunks())
    if met is Fault.TRUNCATED:
        documents = documents[: len(documents) // 2]
    elif with_usage:
        documents.append(reply.usage_chunk())
    frames = [msgspec.json.encode(document) for document in documents]
    if met is Fault.BAD_JSON:
        frames = [frame[: len(frame) // 2] for frame in frames]
    if met is not Fault.TRUNCATED:
        frames.append(b"[DONE]")
    return StreamingResponse(_events(frames), media_type="text/event-stream")


async def _events(frames: list[bytes]) -> AsyncIterator[bytes]:
    for frame in frames:
        yield b"data: " + frame + b"\n\n"


async def api_error(request: Request, error: Exception) -> Response:
    """An error of ours."""
    assert isinstance(error, ApiError)
    return raw_response(error.body(), error.status, error.headers)


async def http_error(request: Request, error: Exception) -> Response:
    """Unknown paths and methods, in the same form as all other errors."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        message = f"There is nothing at {request.url.path}: the model is at /v1/chat/completions and /v1/completions"
        answer = ApiError(404, message, "invalid_request_error", "not_found")
    else:
        message = f"{request.method} is not allowed at {request.url.path}"
        answer = ApiError(error.status_code, message, "invalid_request_error", "method_not_allowed")
    return raw_response(answer.body(), answer.status, dict(error.headers or {}))
