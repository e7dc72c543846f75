"""Request bodies: bounded, then decoded."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from assay.model.errors import BadRequest, BodyTooLarge, InvalidJson

T = TypeVar("T")


async def read_bytes(request: Request, limit: int) -> bytes:
    """Return the body. Raises BodyTooLarge beyond `limit` bytes."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise BodyTooLarge(limit=limit)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise BodyTooLarge(limit=limit)
    except ClientDisconnect:
        raise BadRequest(error="the connection was closed before the body was complete") from None
    return bytes(body)


async def read_json(request: Request, limit: int) -> Any:
    """Return the decoded JSON body. Raises InvalidJson, BodyTooLarge."""
    body = await read_bytes(request, limit)
    if not body.strip():
        raise InvalidJson(error="unexpected end of JSON input")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson(error=str(error)) from error
    except RecursionError as error:
        raise InvalidJson(error="it is nested too deeply") from error


async def read_struct(request: Request, shape: type[T], limit: int) -> T:
    """Return the body as one of the worker API's shapes. Raises InvalidJson."""
    try:
        return msgspec.json.decode(await read_bytes(request, limit), type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(error=str(error)) from error
