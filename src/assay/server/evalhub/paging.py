"""Pages: how they are put together, and kept until something is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from starlette.requests import Request
from starlette.responses import Response

from assay.server.evalhub.queries import Parameters
from assay.server.respond import dump, json_bytes
from assay.server.services import caller, services


async def kept_page(request: Request, make: Callable[[Parameters], Awaitable[bytes]]) -> Response:
    """Answer with the page that `make` makes; the same request is answered from memory while nothing has been written."""
    at = services(request)
    key = "\0".join((caller(request).tenant, request.scope["path"], request.scope["query_string"].decode("latin-1")))
    # Read first: what is written while the page is made must make it stale.
    generation = (await at.store.generation(), at.offerings.generation)
    page = at.pages.get(key, generation)
    if page is None:
        page = at.pages.put(key, generation, await make(Parameters(request)))
    return json_bytes(page)


def page_of(parameters: Parameters, limit: int, offset: int, total: int, items: Iterable[bytes]) -> bytes:
    """Return the JSON of a page with items that are rendered already."""
    head = dump({**parameters.links(limit, offset, total), "limit": limit, "total_count": total})
    return head[:-1] + b',"items":[' + b",".join(items) + b"]}\n"
