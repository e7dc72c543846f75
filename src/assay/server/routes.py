"""The route table's entries, and how a path finds its route."""

from __future__ import annotations

import enum
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from assay.model.errors import AssayError
from assay.model.shapes import Object

Handler = Callable[[Request], Awaitable[Response]]


class Scope(enum.StrEnum):
    """What a caller must be allowed to do."""

    OPEN = "open"
    READ = "read"
    WRITE = "write"
    WORK = "work"
    """Only a worker with its key."""


@dataclass(frozen=True)
class Query:
    """A query parameter, for the documentation."""

    name: str
    kind: str = "string"
    purpose: str = ""


@dataclass(frozen=True)
class Route:
    """One operation of the API. `name` is its stable operation id, `answers` maps status to what comes back."""

    name: str
    method: str
    path: str
    handler: Handler
    summary: str
    scope: Scope = Scope.READ
    tag: str = "evaluations"
    body: Object | None = None
    query: Sequence[Query] = ()
    answers: dict[int, str] = field(default_factory=lambda: {200: "application/json"})
    errors: Sequence[type[AssayError]] = ()


class Table:
    """Finds the route of a request: fixed paths by one dictionary look-up, paths with parameters by pattern."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._fixed: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        patterns: dict[str, dict[str, Route]] = {}
        for route in routes:
            methods = (patterns if "{" in route.path else self._fixed).setdefault(route.path, {})
            if route.method in methods:
                raise ValueError(f"{route.method} {route.path} has two routes")
            methods[route.method] = route
        for path, methods in patterns.items():
            self._patterns.append((re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path)), methods))

    def find(self, path: str) -> tuple[dict[str, Route], dict[str, Any]] | None:
        """Return the routes of a path by method, and the path's parameters; None for an unknown path."""
        methods = self._fixed.get(path)
        if methods is not None:
            return methods, {}
        for pattern, methods in self._patterns:
            match = pattern.fullmatch(path)
            if match:
                return methods, match.groupdict()
        return None
