"""What a tenant can submit: the catalogue's entries, which everybody sees, and those that the tenant made itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from assay.model import collections
from assay.model.errors import AssayError
from assay.scheduler.catalogue import Catalogue, Entry
from assay.store.base import Store
from assay.store.resources import Resource, ResourceById, ResourcesOfTenant


def of_resource(resource: Resource) -> Entry:
    """Return an entry that a tenant made."""
    return Entry(resource.id, resource.tenant, resource.owner, resource.created_at, resource.updated_at, resource.body)


class Offerings:
    """Looks entries up, the catalogue's first. `kind` is `provider` or `collection`."""

    def __init__(self, catalogue: Catalogue, store: Store) -> None:
        self._catalogue, self._store = catalogue, store
        self.generation = 0
        """Grows with every change of the catalogue."""

    def change(self, catalogue: Catalogue) -> int:
        """Put a catalogue that was read anew in the place of the old one; return how many entries came, changed or went.

        An entry that is as it was stays the same object; a changed one keeps the time of its making.
        """
        entries, changes = {}, 0
        for kind, fresh in catalogue.entries.items():
            old = self._catalogue.entries[kind]
            entries[kind] = {entry_id: _since(old.get(entry_id), entry) for entry_id, entry in fresh.items()}
            changes += sum(entry is not old.get(entry_id) for entry_id, entry in entries[kind].items())
            changes += len(old.keys() - fresh.keys())
        if changes:
            self._catalogue = Catalogue(entries)
            self.generation += 1
        return changes

    async def entry(self, kind: str, entry_id: str, tenant: str) -> Entry:
        """Return an entry that `tenant` may see. Raises NotFound."""
        found = self._catalogue.entries[kind].get(entry_id)
        if found is None:
            found = of_resource(await self._store.lookup(ResourceById(kind, entry_id, tenant)))
        return found

    async def entries(self, kind: str, tenant: str) -> list[Entry]:
        """Return every entry that `tenant` may see: the catalogue's by id, then its own, newest first."""
        own = await self._store.scan(ResourcesOfTenant(kind, tenant))
        return [*self._catalogue.entries[kind].values(), *map(of_resource, own)]

    async def benchmarks(self, body: dict[str, Any], tenant: str) -> tuple[Entry | None, list[dict[str, Any]]]:
        """Return the collection that a submission names, if it does, and the benchmarks that it comes to.

        Raises NotFound, DoesNotExist and EmptyCollection.
        """
        wanted = body.get("collection")
        if not wanted:
            return None, body["benchmarks"]
        collection = await self.entry("collection", wanted["id"], tenant)
        return collection, collections.resolve(collection.id, collection.body, wanted.get("benchmarks", []))

    async def enriched(self, body: dict[str, Any], tenant: str) -> dict[str, Any]:
        """Return a collection's body with what its providers know: each benchmark's URL, and lists that it left empty."""
        listed = body.get("benchmarks", [])
        known = await self.listed(listed, tenant)
        benchmarks = [collections.with_url(one, known[one["provider_id"], one["id"]].get("url", "")) for one in listed]
        entries = [known[one["provider_id"], one["id"]] for one in listed]
        filled = {name: values for name, values in collections.taxonomy(entries).items() if not body.get(name)}
        return {**body, "benchmarks": benchmarks, **filled}

    async def listed(self, benchmarks: Iterable[Mapping[str, Any]], tenant: str) -> dict[tuple[str, str], dict[str, Any]]:
        """Return what their providers say of a collection's benchmarks, by provider and id; of unknown ones nothing."""
        providers: dict[str, Entry | None] = {}
        known: dict[tuple[str, str], dict[str, Any]] = {}
        for one in benchmarks:
            provider_id, benchmark_id = one["provider_id"], one["id"]
            if provider_id not in providers:
                providers[provider_id] = None
                with contextlib.suppress(AssayError):  # a collection may name what is not there yet
                    providers[provider_id] = await self.entry("provider", provider_id, tenant)
            known[provider_id, benchmark_id] = {}
            if provider := providers[provider_id]:
                with contextlib.suppress(AssayError):
                    known[provider_id, benchmark_id] = provider.benchmark(benchmark_id)
        return known


def _since(before: Entry | None, entry: Entry) -> Entry:
    if before is None:
        return entry
    if (before.body, before.folder) == (entry.body, entry.folder):
        return before
    return replace(entry, created_at=before.created_at)
