"""Providers, collections and webhooks that users made: create, change, delete, read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from assay.model.errors import NotFound, TooMany
from assay.store.base import Row, Steps, run
from assay.store.rows import encode


@dataclass(frozen=True)
class Resource:
    """A stored provider, collection or webhook. `body` is normalised; times are microseconds since 1970."""

    kind: str
    id: str
    tenant: str
    owner: str
    created_at: int
    updated_at: int
    version: int
    body: dict[str, Any]


def resource_of(row: Row) -> Resource:
    """Return the resource in a row of `resources`."""
    return Resource(**{**dict(row), "body": msgspec.json.decode(row["body"])})


def _visible(rows: list[Row], kind: str, resource_id: str, tenant: str) -> Resource:
    if not rows or rows[0]["tenant"] != tenant:
        raise NotFound(kind=kind, id=resource_id)
    return resource_of(rows[0])


@dataclass(frozen=True)
class CreateResource:
    """Store a new resource; return it. Raises TooMany where the tenant has `most` of its kind already (0: any number)."""

    kind: str
    id: str
    tenant: str
    owner: str
    body: dict[str, Any]
    now: int
    most: int = 0

    def steps(self) -> Steps[Resource]:
        if self.most > 0:
            (count,) = yield run("count_resources", kind=self.kind, tenant=self.tenant)
            if count["n"] >= self.most:
                raise TooMany(kind=self.kind, limit=self.most)
        yield run(
            "insert_resource",
            kind=self.kind,
            id=self.id,
            tenant=self.tenant,
            owner=self.owner,
            body=encode(self.body),
            now=self.now,
        )
        return Resource(self.kind, self.id, self.tenant, self.owner, self.now, self.now, 1, self.body)


@dataclass(frozen=True)
class ChangeResource:
    """Replace the body of a resource by `change(resource)`, in one transaction with reading it; return it.

    Raises NotFound for another tenant's, and whatever `change` raises, with nothing changed.
    """

    kind: str
    id: str
    tenant: str
    change: Callable[[Resource], dict[str, Any]]
    now: int

    def steps(self) -> Steps[Resource]:
        rows = yield run("resource_to_change", kind=self.kind, id=self.id)
        before = _visible(rows, self.kind, self.id, self.tenant)
        body = self.change(before)
        yield run("update_resource", kind=self.kind, id=self.id, body=encode(body), now=self.now)
        return Resource(
            self.kind, self.id, before.tenant, before.owner, before.created_at, self.now, before.version + 1, body
        )


@dataclass(frozen=True)
class DeleteResource:
    """Delete a resource. Raises NotFound for another tenant's."""

    kind: str
    id: str
    tenant: str

    def steps(self) -> Steps[None]:
        rows = yield run("resource_to_change", kind=self.kind, id=self.id)
        _visible(rows, self.kind, self.id, self.tenant)
        yield run("delete_resource", kind=self.kind, id=self.id)


@dataclass(frozen=True)
class ResourceById:
    """A resource of `tenant`. Raises NotFound."""

    kind: str
    id: str
    tenant: str

    def steps(self) -> Steps[Resource]:
        return _visible((yield run("resource", kind=self.kind, id=self.id)), self.kind, self.id, self.tenant)


@dataclass(frozen=True)
class ResourcesOfTenant:
    """Every resource of a kind that a tenant made, newest first."""

    kind: str
    tenant: str

    def steps(self) -> Steps[list[Resource]]:
        return [resource_of(row) for row in (yield run("resources_of_tenant", kind=self.kind, tenant=self.tenant))]
