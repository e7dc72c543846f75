"""Pages: how they are put together, and kept until something is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from assay.server.evalhub.queries import Parameters
from assay.server.respond import dump, json_bytes
from assay.server.services import caller, services

T = TypeVar("T")


async def kept_page(request: Request, make: Callable[[Parameters], Awaitable[bytes]]) -> Response:
    """Answer with the page that `make` makes; the same request is answered from memory while nothing has been written."""
    at = services(request)
    key = "\0".join(("page", caller(request).tenant, request.scope["path"], request.scope["query_string"].decode("latin-1")))
    generation = await at.generation()
    page = at.pages.get(key, generation)
    if page is None:
        page = at.pages.put(key, generation, await make(Parameters(request)))
    return json_bytes(page)


@dataclass(frozen=True)
class Window:
    """Which part of a list a page shows: `size` items (0: all) from `offset` on. `limit` is how many were asked for."""

    limit: int
    offset: int
    size: int

    @classmethod
    def of(cls, parameters: Parameters, most: int) -> Window:
        """Return what a request asks for; no page has more than `most` items (below 1: no matter). Raises BadQueryValue."""
        limit, offset = parameters.count("limit", 50), parameters.count("offset", 0)
        return cls(limit, offset, most if most > 0 and not 0 < limit <= most else limit)

    def of_list(self, found: list[T]) -> list[T]:
        """Return the part of a list."""
        return found[self.offset :][: self.size or None]


def page_of(parameters: Parameters, window: Window, total: int, items: Iterable[bytes]) -> bytes:
    """Return the JSON of a page with items that are rendered already."""
    links = parameters.links(window.size, window.offset, total)
    # A page that shows all there is has the limit that was asked for, even where that is more than a page may have.
    limit = window.size if "next" in links else window.limit
    head = dump({**links, "limit": limit, "total_count": total})
    return head[:-1] + b',"items":[' + b",".join(items) + b"]}\n"
