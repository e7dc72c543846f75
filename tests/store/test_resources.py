"""Providers and collections of users: made, changed in one step with reading, deleted, each tenant's own."""

from __future__ import annotations

from typing import Any

import pytest

from assay.model.errors import BadRequest, NotFound
from assay.store.resources import ChangeResource, CreateResource, DeleteResource, Resource, ResourceById, ResourcesOfTenant

from .life import Life

BODY: dict[str, Any] = {"name": "ü", "benchmarks": [{"id": "b", "weight": 0.5}], "custom": {"z": None, "a": [1]}}


async def make(life: Life, *, kind: str = "provider", tenant: str = "a", **body: Any) -> Resource:
    operation = CreateResource(kind, life.new_id(), tenant, "ann", {**BODY, **body}, life.later())
    return await life.store.apply(operation)


async def test_a_resource_comes_back_as_it_was_made(life: Life) -> None:
    made = await make(life)
    assert (made.created_at, made.updated_at, made.version, made.body) == (life.now, life.now, 1, BODY)
    assert await life.store.lookup(ResourceById("provider", made.id, "a")) == made


async def test_a_change_sees_what_is_there_and_counts_versions(life: Life) -> None:
    made = await make(life)
    life.later()
    operation = ChangeResource("provider", made.id, "a", lambda was: {**was.body, "name": was.body["name"] + "!"}, life.now)
    changed = await life.store.apply(operation)
    assert (changed.body["name"], changed.version, changed.updated_at) == ("ü!", 2, life.now)
    assert (changed.created_at, changed.owner) == (made.created_at, made.owner)
    assert await life.store.lookup(ResourceById("provider", made.id, "a")) == changed


async def test_changes_that_arrive_at_once_are_all_there(life: Life) -> None:
    made = await make(life, n=0)
    change = ChangeResource("provider", made.id, "a", lambda was: {**was.body, "n": was.body["n"] + 1}, life.now)
    answers: list[Any] = await life.store.transact([change] * 20)
    assert [answer.body["n"] for answer in answers] == list(range(1, 21))
    assert (await life.store.lookup(ResourceById("provider", made.id, "a"))).body["n"] == 20


async def test_a_change_that_is_refused_changes_nothing(life: Life) -> None:
    def refuse(_: Resource) -> dict[str, Any]:
        raise BadRequest(error="no")

    made = await make(life)
    with pytest.raises(BadRequest):
        await life.store.apply(ChangeResource("provider", made.id, "a", refuse, life.later()))
    assert await life.store.lookup(ResourceById("provider", made.id, "a")) == made


async def test_what_a_tenant_made_is_listed_newest_first_by_kind(life: Life) -> None:
    mine = [await make(life) for _ in range(3)]
    other, collection = await make(life, tenant="b"), await make(life, kind="collection")
    assert await life.store.scan(ResourcesOfTenant("provider", "a")) == mine[::-1]
    assert await life.store.scan(ResourcesOfTenant("provider", "b")) == [other]
    assert await life.store.scan(ResourcesOfTenant("collection", "a")) == [collection]
    assert await life.store.scan(ResourcesOfTenant("collection", "b")) == []


@pytest.mark.parametrize(("kind", "tenant"), [("provider", "b"), ("collection", "a"), ("provider", "")])
async def test_what_belongs_to_another_tenant_or_kind_does_not_exist(life: Life, kind: str, tenant: str) -> None:
    made = await make(life)
    with pytest.raises(NotFound, match=kind):
        await life.store.lookup(ResourceById(kind, made.id, tenant))
    with pytest.raises(NotFound):
        await life.store.apply(ChangeResource(kind, made.id, tenant, lambda was: was.body, life.now))
    with pytest.raises(NotFound):
        await life.store.apply(DeleteResource(kind, made.id, tenant))
    assert await life.store.lookup(ResourceById("provider", made.id, "a")) == made


async def test_what_was_deleted_is_gone(life: Life) -> None:
    made = await make(life)
    await life.store.apply(DeleteResource("provider", made.id, "a"))
    with pytest.raises(NotFound):
        await life.store.lookup(ResourceById("provider", made.id, "a"))
    assert await life.store.scan(ResourcesOfTenant("provider", "a")) == []
