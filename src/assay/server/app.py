"""The ASGI application: what surrounds every request.

For each request: an id, the web page it comes from, the route, the gate, the handler, errors as JSON, a count.
Everything else belongs to the handlers.
"""

from __future__ import annotations

import logging
import os
import random
import time
from contextlib import nullcontext
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from assay.model.errors import AssayError, MethodNotAllowed, NoWebSocket, OriginNotAllowed, PlainNotFound
from assay.server import origins
from assay.server.access.gate import Asked, Gate
from assay.server.metrics.requests import NOT_FOUND, OTHER_METHOD
from assay.server.respond import REQUEST_ID, error_response, no_content
from assay.server.routes import Route, Table
from assay.server.services import Caller, Services
from assay.server.streams.answer import LiveAnswer, Refusal, turn_out

log = logging.getLogger(__name__)

_ID_HEADER = REQUEST_ID.lower().encode()
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that are counted by name; what else a client may think of must not make new series."""


class App:
    """Assay's API as an ASGI application."""

    def __init__(self, table: Table, services: Services, gate: Gate) -> None:
        self.table, self.services, self.gate = table, services, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return
        opened = scope
        live = scope["type"] == "websocket"
        if live:  # to all that looks at a request it is the GET by which it begins
            scope = {**scope, "type": "http", "method": "GET"}
        began = time.perf_counter()
        request_id, origin, asked = _identity(scope)
        tenant = ""
        method = scope["method"] if scope["method"] in _METHODS else OTHER_METHOD
        counted = self.services.metrics.requests
        received = sent = 0
        scope["assay.services"] = self.services
        scope["assay.table"] = self.table
        scope["assay.request_id"] = request_id

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        request = Request(scope, receive_counted)
        found = self.table.find(scope["path"])
        route: Route | None = None
        who: Caller | None = None
        status = 500
        added: list[tuple[bytes, bytes]] = [(_ID_HEADER, request_id.encode("latin-1"))]
        settings = self.services.settings
        ours = origin is None or origins.permitted(
            origin, request.headers.get("host", ""), settings.host, settings.allowed_origins
        )
        if origin is not None and ours:
            added += origins.headers(origin.encode("latin-1"))

        async def send_with_id(message: Message) -> None:
            nonlocal status, sent
            kind = message["type"]
            if kind == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *added]
            elif kind == "http.response.body":
                sent += len(message.get("body", b""))
            elif kind == "websocket.accept":
                status = 101
            elif kind == "websocket.send":
                sent += len(message["text"])
            elif kind == "http.response.pathsend":
                sent += os.stat(message["path"]).st_size
            await send(message)

        counted.began(method)
        try:
            if scope["method"] == "OPTIONS":
                response = no_content()
            else:
                route = _route(found, scope, None if ours else origin, live)
                who = scope["assay.caller"] = await self.gate.admit(asked, route, added)
                tenant = who.tenant
                response = await route.handler(request)
        except AssayError as error:
            response = self._refused(error, scope, request_id)
        except Exception:
            log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
            response = error_response(AssayError(error=f"see the server's log for request {request_id}"), request_id)
        if live and not isinstance(response, LiveAnswer):
            response = Refusal(response, unheard=not ours)
        staying = self.gate.stay(who, asked) if who and route and route.lasts else nullcontext()
        try:
            with staying as stay:
                await response(opened, receive, send_with_id)
            if stay and stay.error:
                text = f": {stay.error}\n\n" if isinstance(response, LiveAnswer) else f"\n[{stay.error}]\n"
                await turn_out(error_response(stay.error, request_id) if live else text.encode(), send_with_id)
        finally:
            counted.ended(method)
        seconds, path = time.perf_counter() - began, route.path if route else NOT_FOUND
        counted.observe(path, method, status, seconds, tenant, scope["http_version"], received, sent)

    def _refused(self, error: AssayError, scope: Scope, request_id: str) -> Response:
        if isinstance(error, PlainNotFound):
            cleaned = _cleaned(scope["path"])
            if cleaned != scope["path"]:
                query = scope["query_string"].decode("latin-1")
                return Response(status_code=307, headers={"Location": quote(cleaned) + (f"?{query}" if query else "")})
        if error.status >= 500:
            log.error("request %s: %s %s: %s", request_id, scope["method"], scope["path"], error.message)
        return error_response(error, request_id)


def _identity(scope: Scope) -> tuple[str, str | None, Asked]:
    """Return the caller's request id (a new one, if it sent no sane one), the origin of the page that it is, and what the
    gate asks for. Of a header that is sent twice the first counts, but for those that proxies add to.
    """
    request_id, origin = "", None
    client = scope.get("client")
    asked = Asked(client[0] if client else "")
    for name, value in scope["headers"]:
        if name == b"origin":
            origin = value.decode("latin-1")
        elif name == b"x-tenant":
            asked.tenant = asked.tenant or value
        elif name == b"x-user":
            asked.user = asked.user or value
        elif name == b"authorization":
            asked.authorization = asked.authorization or value
        elif name == b"x-forwarded-for":
            asked.forwarded = asked.forwarded + b"," + value if asked.forwarded else value
        elif name == _ID_HEADER and 0 < len(value) <= 128 and value.isascii():
            text: str = value.decode("ascii")
            if text.isprintable():
                request_id = text
    return request_id or _new_id(), origin, asked


def _new_id() -> str:
    """Return a random UUID. It names a request in logs and protects nothing, so the operating system is not asked."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


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
