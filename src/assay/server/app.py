"""The ASGI application: what surrounds every request.

For each request: an id, the route, the caller's scope, the handler, errors as JSON, a count. Everything else belongs to the
handlers.
"""

from __future__ import annotations

import logging
import time
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from assay.model.errors import AssayError, MethodNotAllowed, PlainNotFound
from assay.server.respond import error_response
from assay.server.routes import Route, Table
from assay.server.routes import Scope as Permission
from assay.server.services import Services, require_worker

log = logging.getLogger(__name__)

REQUEST_ID = "X-Global-Transaction-Id"
_ID_HEADER = REQUEST_ID.lower().encode()


class App:
    """Assay's API as an ASGI application."""

    def __init__(self, table: Table, services: Services) -> None:
        self.table = table
        self.services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        request_id = _request_id(scope)
        metrics = self.services.metrics
        scope["assay.services"] = self.services
        scope["assay.table"] = self.table
        scope["assay.request_id"] = request_id
        request = Request(scope, receive)
        found = self.table.find(scope["path"])
        route: Route | None = None
        status = 500
        id_header = (_ID_HEADER, request_id.encode("latin-1"))

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], id_header]
            await send(message)

        try:
            if found is None:
                raise PlainNotFound
            methods, parameters = found
            route = methods.get(scope["method"])
            if route is None:
                raise MethodNotAllowed(method=scope["method"], path=scope["path"])
            scope["path_params"] = parameters
            if route.scope is Permission.WORK:
                require_worker(request)
            response = await route.handler(request)
        except AssayError as error:
            response = self._refused(error, scope, request_id)
        except Exception:
            log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
            response = error_response(AssayError(error=f"see the server's log for request {request_id}"), request_id)
        await response(scope, receive, send_with_id)
        metrics.observe(route.path if route else "not_found", scope["method"], status, time.perf_counter() - began)

    def _refused(self, error: AssayError, scope: Scope, request_id: str) -> Response:
        if isinstance(error, PlainNotFound):
            cleaned = _cleaned(scope["path"])
            if cleaned != scope["path"]:
                return RedirectResponse(cleaned, 307)
        if error.status >= 500:
            log.error("request %s: %s %s: %s", request_id, scope["method"], scope["path"], error.message)
        return error_response(error, request_id)


def _request_id(scope: Scope) -> str:
    """Return the caller's request id, if it sent a sane one, else a new one."""
    for name, value in scope["headers"]:
        if name == _ID_HEADER and 0 < len(value) <= 128 and value.isascii():
            text: str = value.decode("ascii")
            if text.isprintable():
                return text
    return str(uuid.uuid4())


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
