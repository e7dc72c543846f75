"""Providers and collections: one set of operations for both kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from assay.model import patching, shapes
from assay.model.collections import with_url
from assay.model.errors import (
    AssayError,
    QueryMismatch,
    QueryValueNotAllowed,
    ReadOnlyCollection,
    ReadOnlyProvider,
    ValidationFailed,
)
from assay.scheduler.catalogue import KINDS, Entry
from assay.scheduler.identifiers import new_id, now
from assay.scheduler.offerings import of_resource
from assay.server.body import read_json
from assay.server.evalhub.paging import Window, kept_page, page_of
from assay.server.evalhub.queries import Parameters, matches
from assay.server.evalhub.rendering import entry_document
from assay.server.evalhub.unknown import warning_of
from assay.server.permissions import author, code_of_resource, require_code_permission, require_owner
from assay.server.respond import json_bytes, no_content
from assay.server.services import Services, caller, services
from assay.store.queries import JobsOfCollections
from assay.store.resources import ChangeResource, CreateResource, DeleteResource, Resource, ResourceById

_COMMON = ("limit", "offset")
_LISTS = ("domains", "tasks", "modalities", "industries", "evaluation_targets")
SORTS = ("name", "created_at", "updated_at", "pinned_order", "run_count")
_OWNED = ("derived_from", "pinned_order")
"""Members of a collection that the server sets and a body cannot."""
_CURATED = "curation_order"
"""A member of the catalogue's collections alone. From others it is not taken: it would only lock their owners out."""


@dataclass(frozen=True)
class Face:
    """What differs between the two kinds."""

    kind: str
    read_only: type[AssayError]
    rules: patching.Rules
    parameters: Sequence[str]
    patches_first: bool = False
    """Whether a patch of a read-only entry is applied, and refused for what it makes of it, before that is said."""

    def read(self, body: Any) -> dict[str, Any]:
        """Return a normalised body. Raises InvalidJson, ValidationFailed."""
        shape, root = KINDS[self.kind]
        read = shapes.read(shape, root, body)
        read.pop(_CURATED, None)
        return read

    def read_all(self, body: Any) -> tuple[dict[str, Any], dict[str, str]]:
        """Return a normalised body, and the header that warns of what of it was ignored."""
        return self.read(body), warning_of(KINDS[self.kind][0], body)

    # The handlers of the route table.

    async def create(self, request: Request) -> Response:
        """Store a new resource of the caller's tenant."""
        at = services(request)
        author(request)
        body, warning = await read_json(request, at.settings.max_body_bytes, self.read_all)
        require_code_permission(request, code_of_resource(body))
        return await self._store(request, at, await self._filled(request, at, body), warning)

    async def page(self, request: Request) -> Response:
        """Answer with a page: the catalogue's entries by id, then the tenant's, newest first."""
        at, tenant = services(request), caller(request).tenant

        async def make(parameters: Parameters) -> bytes:
            window = Window.of(parameters, at.settings.max_page_items)
            benchmarks = parameters.flag("benchmarks", default=True)
            wanted = _Filter(parameters)
            parameters.only_known(self.parameters)
            found = [entry for entry in await at.offerings.entries(self.kind, tenant) if wanted.wants(entry)]
            counts = await at.store.scan(JobsOfCollections(tenant)) if self.kind == "collection" else {}
            if wanted.sort_by:
                found = _sorted(found, wanted.sort_by, counts)
            items = (_document(entry, benchmarks, counts.get(entry.id, 0)) for entry in window.of_list(found))
            return page_of(parameters, window, len(found), items)

        return await kept_page(request, make)

    async def get(self, request: Request) -> Response:
        """Answer with one resource."""
        at = services(request)
        return await self._answer(request, at, await self._entry(request, at))

    async def replace(self, request: Request) -> Response:
        """Replace a resource of the caller's tenant."""
        at = services(request)
        body, warning = await read_json(request, at.settings.max_body_bytes, self.read_all)
        self._writable(request, await self._entry(request, at))
        filled = await self._filled(request, at, body)

        def change(before: Resource) -> dict[str, Any]:
            return {name: before.body[name] for name in _OWNED if name in before.body} | filled

        return await self._change(request, at, change, warning)

    async def patch(self, request: Request) -> Response:
        """Change parts of a resource of the caller's tenant, by RFC 6902 operations or an RFC 7386 merge patch."""
        at = services(request)
        limit = at.settings.max_body_bytes
        operations = await read_json(request, limit, lambda posted: patching.read(posted, self.rules))
        entry = await self._entry(request, at)

        def change(before: Resource | Entry) -> dict[str, Any]:
            shape, _ = KINDS[self.kind]
            patched = patching.apply(shape, before.body, operations)
            owned = {name: patched[name] for name in _OWNED if patched.get(name)}
            if "pinned_order" in owned:
                owned["pinned_order"] = _read_order(owned["pinned_order"])
            return owned | self.read(patched)

        if entry.is_system and self.patches_first:
            await asyncio.to_thread(change, entry)
        self._writable(request, entry)
        return await self._change(request, at, await self._with_urls(request, at, change, entry))

    async def delete(self, request: Request) -> Response:
        """Delete a resource of the caller's tenant. Jobs that used it keep what they took from it."""
        at = services(request)
        entry = await self._entry(request, at)
        self._writable(request, entry)
        await at.store.apply(DeleteResource(self.kind, entry.id, entry.tenant))
        return no_content()

    async def clone(self, request: Request) -> Response:
        """Make a collection of one's own from another; members of the body replace those of the copy."""
        at = services(request)
        author(request)
        source = await self._entry(request, at)
        copied = {name: value for name, value in source.body.items() if name not in (_CURATED, *_OWNED)}

        def over(given: Any) -> tuple[dict[str, Any], dict[str, str]]:
            if not isinstance(given, dict | None):
                return self.read_all(given)
            return self.read_all(
                copied | {n: value for n, value in (given or {}).items() if value not in ("", None, [], {})}
            )

        body, warning = await read_json(request, at.settings.max_body_bytes, over, empty={})
        self._require_code(request, source.body, body)
        filled = await self._filled(request, at, body)
        return await self._store(request, at, {"derived_from": source.id, **filled}, warning)

    # What they share.

    async def _entry(self, request: Request, at: Services) -> Entry:
        return await at.offerings.entry(self.kind, request.path_params[f"{self.kind}_id"], caller(request).tenant)

    def _writable(self, request: Request, entry: Entry) -> None:
        if entry.is_system:
            raise self.read_only(id=entry.id)
        require_owner(request, self.kind, entry.id, entry.owner)

    def _require_code(self, request: Request, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        known, code = code_of_resource(before), code_of_resource(after)
        require_code_permission(request, (field for field, value in code.items() if known.get(field) != value))

    async def _filled(self, request: Request, at: Services, body: dict[str, Any]) -> dict[str, Any]:
        return body if self.kind == "provider" else await at.offerings.enriched(body, caller(request).tenant)

    async def _with_urls(
        self, request: Request, at: Services, change: Callable[[Resource | Entry], dict[str, Any]], entry: Entry
    ) -> Callable[[Resource], dict[str, Any]]:
        """Return a change after which the benchmarks of a collection have the URLs that their providers give, and no other.

        What `change` makes of `entry` says which providers to ask.
        """
        if self.kind == "provider":
            return change
        benchmarks = (await asyncio.to_thread(change, entry)).get("benchmarks", [])
        known = await at.offerings.listed(benchmarks, caller(request).tenant)

        def changed(before: Resource) -> dict[str, Any]:
            body = change(before)
            return body | {
                "benchmarks": [
                    with_url(one, known.get((one["provider_id"], one["id"]), one).get("url", ""))
                    for one in body["benchmarks"]
                ]
            }

        return changed

    async def _store(
        self, request: Request, at: Services, body: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> Response:
        who = author(request)
        made = await at.store.apply(CreateResource(self.kind, new_id(), who.tenant, who.user, body, now()))
        return await self._answer(request, at, of_resource(made), 201, headers)

    async def _change(
        self,
        request: Request,
        at: Services,
        change: Callable[[Resource], dict[str, Any]],
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        resource_id, tenant = request.path_params[f"{self.kind}_id"], caller(request).tenant

        def permitted(before: Resource) -> dict[str, Any]:
            after = change(before)
            self._require_code(request, before.body, after)
            return after

        # What may take long is done before the transaction, which every other change waits for.
        known = await at.store.lookup(ResourceById(self.kind, resource_id, tenant))
        prepared = await asyncio.to_thread(permitted, known)

        def unless_changed(before: Resource) -> dict[str, Any]:
            return prepared if before.version == known.version else permitted(before)

        changed = await at.store.apply(ChangeResource(self.kind, resource_id, tenant, unless_changed, now()))
        return await self._answer(request, at, of_resource(changed), headers=headers)

    async def _answer(
        self, request: Request, at: Services, entry: Entry, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        counts = await at.store.scan(JobsOfCollections(caller(request).tenant)) if self.kind == "collection" else {}
        return json_bytes(_document(entry, True, counts.get(entry.id, 0)) + b"\n", status, headers)


def _read_order(value: Any) -> int:
    """Return the place of a collection. Raises InvalidJson for what is no whole number of 64 bits, ValidationFailed."""
    failures: list[shapes.Failure] = []
    order = shapes.Integer(least=0).read(value, "pinned_order", failures)
    if failures:
        raise ValidationFailed(error="pinned_order must be 0 or positive")
    return order


class _Filter:
    """The filters of a list request."""

    def __init__(self, parameters: Parameters) -> None:
        owner, scope = parameters.text("owner"), parameters.text("scope")
        if scope and owner:
            raise QueryMismatch(names="owner,scope")
        if scope not in ("", "system", "tenant"):
            raise QueryValueNotAllowed(name="scope", values="system|tenant")
        self._scope = scope
        self._scalars = {name: match for name in ("name", "category") if (match := parameters.scalar(name))}
        self._owner = parameters.scalar("owner")
        self._lists = {name: match for name in ("tags", *_LISTS) if (match := parameters.listed(name))}
        self.sort_by = parameters.text("sort_by")
        if self.sort_by and self.sort_by.removeprefix("-") not in SORTS:
            raise QueryValueNotAllowed(name="sort_by", values="|".join(SORTS))

    def wants(self, entry: Entry) -> bool:
        """Say whether an entry is wanted."""
        return (
            self._scope in ("", "system" if entry.is_system else "tenant")
            and (self._owner is None or matches(self._owner, {entry.owner}))
            and all(matches(match, {entry.body.get(name, "")}) for name, match in self._scalars.items())
            and all(matches(match, set(entry.body.get(name, []))) for name, match in self._lists.items())
        )


def _sorted(entries: list[Entry], sort_by: str, counts: dict[str, int]) -> list[Entry]:
    """Return the entries in the order of a member; a leading `-` turns it round."""
    name = sort_by.removeprefix("-")

    def key(entry: Entry) -> Any:
        if name in ("created_at", "updated_at"):
            return getattr(entry, name)
        return counts.get(entry.id, 0) if name == "run_count" else entry.body.get(name, "" if name == "name" else 0)

    return sorted(entries, key=key, reverse=sort_by.startswith("-"))


def _document(entry: Entry, benchmarks: bool, run_count: int) -> bytes:
    if entry.is_system:
        return _kept_document(entry, benchmarks, run_count)
    return entry_document(entry, benchmarks=benchmarks, run_count=run_count)


@lru_cache(maxsize=256)
def _kept_document(entry: Entry, benchmarks: bool, run_count: int) -> bytes:
    """Return the document of an entry of the catalogue, which stays one object; one that a tenant made is new each time."""
    return entry_document(entry, benchmarks=benchmarks, run_count=run_count)


PROVIDERS = Face(
    "provider",
    ReadOnlyProvider,
    patching.PROVIDER_RULES,
    (*_COMMON, "benchmarks", "name", "tags", "owner", "scope"),
    patches_first=True,
)
COLLECTIONS = Face(
    "collection",
    ReadOnlyCollection,
    patching.COLLECTION_RULES,
    (*_COMMON, "name", "category", "tags", "owner", "scope", *_LISTS, "sort_by"),
)
