"""Providers of the catalogue: list and read."""

from __future__ import annotations

from functools import lru_cache

from starlette.requests import Request
from starlette.responses import Response

from assay.model.errors import QueryMismatch, QueryValueNotAllowed
from assay.scheduler.catalogue import Provider
from assay.server.evalhub.jobs import page_head
from assay.server.evalhub.queries import Parameters, list_match, scalar_match
from assay.server.evalhub.rendering import provider_document
from assay.server.respond import json_bytes
from assay.server.services import services
from assay.store.pages import Match

LIST_PARAMETERS = ("limit", "offset", "benchmarks", "name", "tags", "owner", "scope")


async def page(request: Request) -> Response:
    """Answer with a page of providers, by id."""
    at, parameters = services(request), Parameters(request)
    limit, offset = parameters.count("limit", 50), parameters.count("offset", 0)
    benchmarks = parameters.flag("benchmarks", default=True)
    name, tags, owner = parameters.text("name"), parameters.text("tags"), parameters.text("owner")
    scope = parameters.text("scope")
    if scope and owner:
        raise QueryMismatch(names="owner,scope")
    if scope not in ("", "system", "tenant"):
        raise QueryValueNotAllowed(name="scope", values="system|tenant")
    parameters.only_known(LIST_PARAMETERS)
    found = [
        provider
        for _, provider in sorted(at.catalogue.providers.items())
        if scope != "tenant"
        and (not name or _matches(scalar_match(name), {provider.config["name"]}))
        and (not owner or _matches(scalar_match(owner), {"system"}))
        and (not tags or _matches(list_match(tags), set(provider.config.get("tags", []))))
    ]
    shown = found[offset : offset + limit] if limit else found[offset:]
    items = b",".join(_document(provider, benchmarks) for provider in shown)
    return json_bytes(page_head(parameters.links(limit, offset, len(found)), limit, len(found)) + items + b"]}\n")


async def get(request: Request) -> Response:
    """Answer with one provider."""
    provider = services(request).catalogue.provider(request.path_params["provider_id"])
    return json_bytes(_document(provider, True) + b"\n")


@lru_cache(maxsize=1024)
def _document(provider: Provider, benchmarks: bool) -> bytes:
    return provider_document(provider, benchmarks=benchmarks)


def _matches(match: Match, values: set[str]) -> bool:
    return (
        (not match.any_of or not values.isdisjoint(match.any_of))
        and values.issuperset(match.all_of)
        and values.isdisjoint(match.none_of)
    )
