"""Request bodies: bounded, then decoded."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from assay.model.errors import BadRequest, BodyTooLarge, BodyTooSlow, InvalidJson
from assay.server.services import services

T = TypeVar("T")

_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""The escape of a NUL character, not a backslash with `u0000` behind it."""

_PATIENCE = 4
"""A body up to so many times the limit is read to its end before it is refused: many clients look for an answer only when
they have sent everything."""
_LARGE = 1 << 15
"""Bytes of JSON that are decoded and checked in some ten milliseconds at most."""
_MOST_VALUES = 100_000
"""Most values of a body. Decoding holds everybody up; so many take it some hundredths of a second."""


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield the body as it comes. Raises BadRequest where its sender hangs up before its end."""
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise BadRequest(error="the connection was closed before the body was complete") from None


async def read_bytes(request: Request, limit: int) -> bytes:
    """Return the body. Raises BodyTooLarge beyond `limit` bytes (-1: any size), BodyTooSlow where it takes too long, and
    BadRequest where its sender hangs up.
    """
    limit = limit if limit >= 0 else sys.maxsize
    patience_s: float = services(request).settings.read_timeout_seconds
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > limit * _PATIENCE:
        raise BodyTooLarge(limit=limit)
    body = bytearray()
    size = 0
    try:
        async with asyncio.timeout(patience_s):
            async for piece in pieces(request):
                size += len(piece)
                if size > limit * _PATIENCE:
                    break
                if size <= limit:
                    body += piece
    except TimeoutError:
        raise BodyTooSlow(seconds=f"{patience_s:g}") from None
    if size > limit:
        raise BodyTooLarge(limit=limit)
    return bytes(body)


async def read_json(request: Request, limit: int, read: Callable[[Any], T] = lambda value: value, *, empty: Any = ...) -> T:
    """Return what `read` makes of the JSON body; of `empty`, if given, for a body without any.

    Raises InvalidJson, BodyTooLarge, and what `read` raises. A large body is read in a thread, so that others need not wait.
    """
    body = await read_bytes(request, limit)
    if not body.strip():
        if empty is not ...:
            return read(empty)
        raise InvalidJson(error="unexpected end of JSON input")
    if len(body) > _LARGE:
        return await asyncio.to_thread(lambda: read(_decode(body)))
    return read(_decode(body))


def _decode(body: bytes) -> Any:
    # Every value is followed by one of these. The count is quick, and a little too high for texts with commas in them.
    if len(body) > _LARGE and sum(map(body.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise InvalidJson(error=f"it holds more than {_MOST_VALUES} values")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson(error=str(error)) from error
    except RecursionError as error:
        raise InvalidJson(error="it is nested too deeply") from error


async def read_struct(request: Request, shape: type[T], limit: int) -> T:
    """Return the body as one of the worker API's shapes. Raises InvalidJson.

    A NUL character, which a program may have printed and no database keeps as text, becomes U+FFFD.
    """
    body = await read_bytes(request, limit)
    if b"\\u0000" in body:
        body = _NUL.sub(rb"\1\\ufffd", body)
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(error=str(error)) from error
