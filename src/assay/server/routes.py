"""The route table's entries, and how a path finds its route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from assay.model.access import Cost
from assay.model.access import Scope as Scope
from assay.model.errors import AssayError

if TYPE_CHECKING:
    from assay.server.respond import JsonResponse
    from assay.server.services import Services

Handler = Callable[[Request], Awaitable[Response]]


class Schematic(Protocol):
    """What has a JSON Schema: a shape, or a patch."""

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        """Return the JSON Schema of the value as it is read, or as it is written."""
        ...


Described = Schematic | type | str | tuple[str, ...]
"""JSON of a shape or of a struct of the worker protocol, or bytes of one of several media types."""


@dataclass(frozen=True)
class Query:
    """A query parameter, for the documentation. `one_of`: the only values that are taken; `least`, `most`: of an integer."""

    name: str
    kind: str = "string"
    purpose: str = ""
    one_of: Sequence[str] = ()
    format: str = ""
    least: int = 0
    most: int = 10**18 - 1


@dataclass(frozen=True)
class Header:
    """A header of a request or of an answer, for the documentation. `always`: no answer is without it."""

    name: str
    purpose: str
    always: bool = True
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True)
class Route:
    """One operation of the API. `name` is its stable operation id, `answers` maps status to what comes back: a shape or a
    struct as JSON, bytes of a media type, or (the empty text) nothing."""

    name: str
    method: str
    path: str
    handler: Handler
    summary: str
    scope: Scope = Scope.JOBS_READ
    cost: Cost | None = None
    """What a call costs; None: by its method a read or a write."""
    tag: str = "evaluations"
    body: Described | None = None
    body_required: bool = True
    example: Any = None
    """A body that is accepted."""
    query: Sequence[Query] = ()
    headers: Sequence[Header] = ()
    answers: Mapping[int, Described] = field(default_factory=dict)
    answer_headers: Sequence[Header] = ()
    """Headers of a successful answer."""
    makes: str = ""
    """The parameter of other paths that `resource.id` of the answer fills."""
    errors: Sequence[type[AssayError]] = ()
    kept: Callable[[Services], JsonResponse | None] | None = None
    """Gives the answer when it is in memory; asked before the handler, of a route without parameters."""
    live: bool = False
    """Whether the answer goes on, and may be had over WebSocket too. The handler returns a `streams.answer.LiveAnswer`."""

    @cached_property
    def cost_class(self) -> Cost:
        """The class whose rate limits the route."""
        return self.cost or (Cost.READ if self.method in ("GET", "HEAD") else Cost.WRITE)

    @property
    def lasts(self) -> bool:
        """Whether an answer may go on for as long as something lasts."""
        return self.live or self.cost_class is Cost.STREAM


class _Place:
    """Where a path may have led so far: what its next segment may be, and the routes of a path that ends here."""

    __slots__ = ("named", "parameter", "parameters", "routes")

    def __init__(self) -> None:
        self.named: dict[str, _Place] = {}
        self.parameter: _Place | None = None
        self.parameters: Sequence[str] = ()
        self.routes: dict[str, Route] = {}


class Table:
    """Finds the route of a request: fixed paths by one dictionary look-up, paths with parameters segment by segment.

    Where one path has a parameter another has none but parameters, so there is one way to go.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._fixed: dict[str, dict[str, Route]] = {}
        self._root = _Place()
        self.at_once = {route.path: route for route in routes if route.kept}
        """Routes whose answer may be in memory."""
        for route in routes:
            by_method = self._lay(route.path) if "{" in route.path else self._fixed.setdefault(route.path, {})
            if route.method in by_method:
                raise ValueError(f"{route.method} {route.path} has two routes")
            by_method[route.method] = route

    def _lay(self, path: str) -> dict[str, Route]:
        """Return where the routes of a path with parameters are kept."""
        place, parameters = self._root, []
        for segment in path.split("/"):
            if segment.startswith("{"):
                parameters.append(segment[1:-1])
                following = place.parameter = place.parameter or _Place()
            else:
                following = place.named.setdefault(segment, _Place())
            if place.named and place.parameter:
                raise ValueError(f"{path} has a parameter where another path has a name, or the other way round")
            place = following
        if place.routes and place.parameters != parameters:
            raise ValueError(f"the parameters of {path} have two names")
        place.parameters = parameters
        return place.routes

    def find(self, path: str) -> tuple[dict[str, Route], dict[str, Any]] | None:
        """Return the routes of a path by method, and the path's parameters; None for an unknown path."""
        by_method = self._fixed.get(path)
        if by_method is not None:
            return by_method, {}
        place, values = self._root, []
        for segment in path.split("/"):
            following = place.named.get(segment)
            if following is None:
                following = place.parameter
                if following is None or not segment:
                    return None
                values.append(segment)
            place = following
        return (place.routes, dict(zip(place.parameters, values, strict=True))) if place.routes else None
