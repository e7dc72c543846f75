"""One request and its answer on a plain connection, as an ASGI application sees them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

if TYPE_CHECKING:
    from assay.listening.connection import Connection

log = logging.getLogger(__name__)

_JOINED = 1 << 16
"""Most bytes of a body that are copied to go out in one piece with the head."""
_FILE_PIECE = 1 << 20
"""Bytes of a file that are read at a time, in a thread whose waking up costs as much as the reading."""
_BODILESS = (204, 304)

Whole = tuple[int, Sequence[tuple[bytes, bytes]], bytes]
"""An answer: status, headers and body."""


class Exchange:
    """A request, whose body may still be coming, and its answer.

    `keep_alive`: whether the connection goes on after it.
    """

    __slots__ = (
        "_bodiless",
        "_chunked",
        "_connection",
        "_event",
        "_expected",
        "_head",
        "_left",
        "_task",
        "answered",
        "begun",
        "body",
        "keep_alive",
        "lost",
        "more_body",
        "news",
        "scope",
    )

    def __init__(self, connection: Connection, scope: dict[str, Any], expected: bool, keep_alive: bool) -> None:
        self._connection = connection
        self.scope = scope
        self.keep_alive = keep_alive
        self.begun = self.answered = self.lost = False
        self.body = bytearray()
        """What was read of the body and not received yet."""
        self.more_body = True
        self.news = False
        """Whether there is something to receive."""
        self._event: asyncio.Event | None = None
        self._expected = expected
        """Whether the client waits with the body until it is asked for (RFC 9110, 10.1.1)."""
        self._head = b""
        self._bodiless = self._chunked = False
        self._left: int | None = None
        """Bytes of the answer's body that are still to come; None where its length was not told."""

    def start(self) -> bool:
        """Have the application answer. Return whether it has done so at once; else the connection is told when it has."""
        connection = self._connection
        reads = not connection.flow.write_paused
        whole = connection.at_once(self.scope) if connection.at_once and reads else None
        if whole is None:
            self._task = connection.loop.create_task(self._run())
            connection.tasks.add(self._task)
            return False
        status, headers, body = whole
        self._begin(status, headers)
        self._go_on(body, more=False)
        return True

    async def _run(self) -> None:
        connection = self._connection
        try:
            await connection.app(self.scope, self.receive, self.send)
        except Exception:
            log.exception("%s %s failed", self.scope["method"], self.scope["path"])
            if not self.begun:
                await self.send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
                await self.send({"type": "http.response.body"})
        finally:
            connection.tasks.discard(self._task)
            if not (self.answered or self.lost):
                connection.transport.abort()  # an answer that was cut off must not look like a whole one

    def lose(self) -> None:
        """Note that the client has gone."""
        self.lost = True
        self.tell()

    def tell(self) -> None:
        """Let the application receive what is new."""
        self.news = True
        if self._event is not None:
            self._event.set()

    async def receive(self) -> dict[str, Any]:
        """Return the next piece of the body; once the answer was given or the client has gone, that it has gone."""
        connection = self._connection
        if self._expected and not connection.transport.is_closing():
            connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._expected = False
        while not (self.news or self.lost or self.answered):
            connection.flow.resume_reading()
            if self._event is None:
                self._event = asyncio.Event()
            self._event.clear()
            await self._event.wait()
        if self.lost or self.answered:
            return {"type": "http.disconnect"}
        self.news = False
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Any) -> None:
        """Send what the application says, once the client has read enough of what was sent before."""
        flow = self._connection.flow
        if flow.write_paused and not self.lost:
            await flow.drain()
        if self.lost:
            return
        kind = message["type"]
        if not self.begun and kind == "http.response.start":
            self._begin(message["status"], message["headers"])
        elif not self.begun or self.answered:
            raise RuntimeError(f"{kind} is out of turn")
        elif kind == "http.response.body":
            more = message.get("more_body", False)
            self._go_on(message.get("body", b""), more=more)
            if not more:
                self._connection.go_on(self)
        elif kind == "http.response.pathsend":
            await self._send_file(message["path"])
        else:
            raise RuntimeError(f"{kind} is nothing that can be sent here")

    def _begin(self, status: int, headers: Any) -> None:
        self.begun = True
        if self._expected:  # it was never asked for, so the client may send its body now or never
            self._expected = self.keep_alive = False
        now = int(time.time())
        if now != _Date.second:
            _Date.second, _Date.line = now, b"date: %b\r\n" % formatdate(now, usegmt=True).encode()
        lines = [STATUS_LINE[status], _Date.line]
        for name, value in headers:
            if name == b"content-length":
                self._left = int(value)
            elif name == b"connection":
                self.keep_alive = self.keep_alive and value.lower() != b"close"
                continue
            lines.append(b"%b: %b\r\n" % (name, value))
        if status in _BODILESS or self.scope["method"] == "HEAD":
            self._bodiless = True
        elif self._left is None and self.scope["http_version"] == "1.1":
            self._chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        head = b"".join(lines)
        if not head.count(b"\n") == head.count(b"\r") == len(lines):
            raise RuntimeError("a header of the answer has more than one line")
        if self._left is None and not self._bodiless:  # what is streamed may begin much later
            self._connection.transport.write(head + b"\r\n")
        else:
            self._head = head + b"\r\n"

    def _go_on(self, body: bytes, *, more: bool) -> None:
        if self._bodiless:
            body = b""
        elif self._chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the body is longer or shorter than its Content-Length")
        transport = self._connection.transport
        if self._head:
            if len(body) > _JOINED:
                transport.write(self._head)
            else:
                body = self._head + body
            self._head = b""
        if body:
            transport.write(body)
        if not more:
            self.answered = True
            if self._event is not None:
                self._event.set()

    async def _send_file(self, path: str) -> None:
        with await asyncio.to_thread(open, path, "rb") as file:
            while piece := await asyncio.to_thread(file.read, _FILE_PIECE):
                await self.send({"type": "http.response.body", "body": piece, "more_body": True})
        await self.send({"type": "http.response.body"})


class _Date:
    """The Date header, rendered once a second."""

    second = 0
    line = b""
