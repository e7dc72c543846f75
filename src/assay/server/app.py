"""The ASGI application: what surrounds every request.

For each request: an id, the web page it comes from, the route, the gate, the handler, errors as JSON, a count.
Everything else belongs to the handlers.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
import uuid
from contextlib import nullcontext
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from assay.listening import Whole
from assay.model.errors import AssayError, MethodNotAllowed, NoWebSocket, OriginNotAllowed, PlainNotFound
from assay.server import origins
from assay.server.access.gate import NOBODY, Asked, Gate
from assay.server.metrics.requests import NOT_FOUND, OTHER_METHOD
from assay.server.respond import REQUEST_ID, JsonResponse, error_response, no_content
from assay.server.routes import Route, Table
from assay.server.services import Caller, Services
from assay.server.streams.answer import LiveAnswer, Refusal, turn_out

log = logging.getLogger(__name__)

_ID_HEADER = REQUEST_ID.lower().encode()
_OWN = frozenset({_ID_HEADER, b"origin"})
"""The headers that are read here."""
_IDS_BEGIN = str(uuid.uuid4())[:24]
_ids = itertools.count(1)
_BODILESS = frozenset({"GET", "HEAD"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that are counted by name; what else a client may think of must not make new series."""


class _Received:
    """What is received of a request's body, counted."""

    __slots__ = ("_receive", "bytes")

    def __init__(self, receive: Receive) -> None:
        self._receive, self.bytes = receive, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self.bytes += len(message.get("body", b""))
        return message


class _Sent:
    """What is sent as an answer, counted, with the headers `added`."""

    __slots__ = ("_added", "_send", "bytes", "status")

    def __init__(self, send: Send, added: list[tuple[bytes, bytes]]) -> None:
        self._send, self._added = send, added
        self.status, self.bytes = 500, 0

    async def __call__(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self._added]
        elif kind == "http.response.body":
            self.bytes += len(message.get("body", b""))
        elif kind == "websocket.accept":
            self.status = 101
        elif kind == "websocket.send":
            self.bytes += len(message["text"])
        elif kind == "http.response.pathsend":
            self.bytes += os.stat(message["path"]).st_size
        await self._send(message)


class App:
    """Assay's API as an ASGI application."""

    def __init__(self, table: Table, services: Services, gate: Gate) -> None:
        self.table, self.services, self.gate = table, services, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        opened, live = scope, scope["type"] == "websocket"
        if live:  # to all that looks at a request it is the GET by which it begins
            scope = {**scope, "type": "http", "method": "GET"}
        elif scope["type"] != "http":
            return
        began = time.perf_counter()
        method = scope["method"] if scope["method"] in _METHODS else OTHER_METHOD
        counted = self.services.metrics.requests
        request_id, origin = _identity(scope)
        scope["assay.services"] = self.services
        scope["assay.table"] = self.table
        scope["assay.request_id"] = request_id
        added: list[tuple[bytes, bytes]] = [(_ID_HEADER, request_id.encode("latin-1"))]
        received = None if method in _BODILESS else _Received(receive)
        request = Request(scope, received or receive)
        ours = origin is None or self._permitted(origin, request)
        if origin is not None and ours:
            added += origins.headers(origin.encode("latin-1"))
        route, tenant = None, ""
        who: Caller | None = None
        counted.active[method] += 1
        try:
            if scope["method"] == "OPTIONS":
                response = no_content()
            else:
                route = _route(self.table.find(scope["path"]), scope, None if ours else origin, live)
                if self.gate.is_open(route):
                    scope["assay.caller"] = NOBODY
                else:
                    who = scope["assay.caller"] = await self.gate.admit(Asked.by(scope), route, added)
                    tenant = who.tenant
                response = await route.handler(request)
        except AssayError as error:
            response = self._refused(error, scope, request_id)
        except Exception:
            log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
            response = error_response(AssayError(error=f"see the server's log for request {request_id}"), request_id)
        try:
            if type(response) is JsonResponse and not live:  # nearly every answer is one
                status, size = response.status_code, len(response.body)
                headers = response.raw_headers + added
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": response.body})
            else:
                if live and not isinstance(response, LiveAnswer):
                    response = Refusal(response, unheard=not ours)
                sent = _Sent(send, added)
                staying = self.gate.stay(who, Asked.by(scope)) if who and route and route.lasts else nullcontext()
                with staying as stay:
                    await response(opened, receive, sent)
                if stay and stay.error:
                    text = f": {stay.error}\n\n" if isinstance(response, LiveAnswer) else f"\n[{stay.error}]\n"
                    await turn_out(error_response(stay.error, request_id) if live else text.encode(), sent)
                status, size = sent.status, sent.bytes
        finally:
            counted.active[method] -= 1
        counted.observe(
            route.path if route else NOT_FOUND,
            method,
            status,
            time.perf_counter() - began,
            tenant,
            scope["http_version"],
            received.bytes if received else 0,
            size,
        )

    def at_once(self, scope: Scope) -> Whole | None:
        """Answer a request that needs nobody's leave and whose answer is kept; None for every other.

        A server that asks for this before it calls the application is spared a task, which is most of what such an answer
        costs.
        """
        route = self.table.at_once.get(scope["path"])
        if route is None or route.kept is None or scope["method"] != route.method or not self.gate.is_open(route):
            return None
        began = time.perf_counter()
        request_id, origin = _identity(scope)
        response = route.kept(self.services) if origin is None else None
        if response is None:
            return None
        status, body = response.status_code, bytes(response.body)
        seconds = time.perf_counter() - began
        self.services.metrics.requests.observe(
            route.path, route.method, status, seconds, "", scope["http_version"], 0, len(body)
        )
        return status, [*response.raw_headers, (_ID_HEADER, request_id.encode("latin-1"))], body

    def _permitted(self, origin: str, request: Request) -> bool:
        settings = self.services.settings
        return origins.permitted(origin, request.headers.get("host", ""), settings.host, settings.allowed_origins)

    def _refused(self, error: AssayError, scope: Scope, request_id: str) -> Response:
        if isinstance(error, PlainNotFound):
            cleaned = _cleaned(scope["path"])
            if cleaned != scope["path"]:
                query = scope["query_string"].decode("latin-1")
                return Response(status_code=307, headers={"Location": quote(cleaned) + (f"?{query}" if query else "")})
        if error.status >= 500:
            log.error("request %s: %s %s: %s", request_id, scope["method"], scope["path"], error.message)
        return error_response(error, request_id)


def _identity(scope: Scope) -> tuple[str, str | None]:
    """Return the caller's request id (a new one, if it sent no sane one), and the origin of the page that it is.

    An id of ours is a UUID. It names a request in logs and protects nothing, so within a process they are counted.
    """
    request_id, origin = "", None
    for name, value in scope["headers"]:
        if name not in _OWN:
            continue
        if name == b"origin":
            origin = value.decode("latin-1")
        elif 0 < len(value) <= 128 and value.isascii():
            text: str = value.decode("ascii")
            if text.isprintable():
                request_id = text
    return request_id or f"{_IDS_BEGIN}{next(_ids):012x}", origin


def _route(found: tuple[dict[str, Route], dict[str, Any]] | None, scope: Scope, stranger: str | None, live: bool) -> Route:
    """Return the route of a request and note the parameters of its path.

    `stranger`: a page that may change nothing, and open no WebSocket (`live`): a browser keeps from it what comes back to a
    request, but not what comes over one of these.
    """
    if found is None or "\0" in scope["path"]:  # nothing that is stored has a NUL in its name
        raise PlainNotFound
    methods, parameters = found
    route = methods.get(scope["method"])
    if route is None:
        raise MethodNotAllowed(method=scope["method"], path=scope["path"])
    if stranger is not None and (live or route.method not in origins.SAFE_METHODS):
        raise OriginNotAllowed(origin=stranger)
    if live and not route.live:
        raise NoWebSocket(path=scope["path"])
    scope["path_params"] = parameters
    return route


def _cleaned(path: str) -> str:
    """Return a path without empty, `.` and `..` segments."""
    if "//" not in path and "/." not in path:
        return path
    kept: list[Any] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if path.endswith("/") and kept else "")
