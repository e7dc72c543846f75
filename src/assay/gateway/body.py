"""Reads the evaluation's request body whole, because a retry sends it again."""

from __future__ import annotations

from aiohttp import hdrs, web


class BodyTooLargeError(Exception):
    """The body is larger than the run's limit."""


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """The body, as sent. Raises BodyTooLargeError beyond `limit` bytes, without reading on."""
    if (request.content_length or 0) > limit:
        raise BodyTooLargeError
    if not request.body_exists:
        return b""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise BodyTooLargeError
    return bytes(body)
