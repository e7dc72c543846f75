"""API keys in the store: made once, revoked for good, seen by their tenant; the first must be able to make others."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from assay.model.errors import FirstKeyMustManage, NotFound
from assay.model.keys import ApiKey
from assay.store.keys import AnyKey, CreateKey, KeyByPrefix, KeyOfTenant, KeysOfTenant, NoteKeysUsed, RevokeKey

from .life import Ask, Life


def a_key(life: Life, prefix: str = "0123456789ab", **changed: Any) -> ApiKey:
    key = ApiKey(
        prefix=prefix,
        digest=hashlib.sha256(prefix.encode()).digest(),
        name="ann's",
        tenant="a",
        user="ann",
        roles=("user", "viewer"),
        addresses=("10.0.0.0/8", "fd00::/8"),
        created_at=life.later(),
        created_by="",
        expires_at=life.now + 5,
    )
    return replace(key, **changed)


async def make(life: Life, prefix: str = "0123456789ab", **changed: Any) -> ApiKey:
    return await life.store.apply(CreateKey(a_key(life, prefix, **changed), manages=True))


async def test_a_key_comes_back_as_it_was_made(life: Life) -> None:
    made = await make(life)
    assert await life.store.lookup(KeyByPrefix(made.prefix)) == made
    assert await life.store.lookup(KeyByPrefix("unknown")) is None
    forever = await make(life, "ffffffffffff", expires_at=None, roles=("worker",), addresses=())
    assert await life.store.lookup(KeyByPrefix(forever.prefix)) == forever


async def test_the_first_key_must_be_able_to_make_others(life: Life) -> None:
    assert await life.store.lookup(AnyKey()) is False
    with pytest.raises(FirstKeyMustManage):
        await life.store.apply(CreateKey(a_key(life), manages=False))
    assert await life.store.lookup(AnyKey()) is False
    await make(life)
    await life.store.apply(CreateKey(a_key(life, "aaaaaaaaaaaa"), manages=False))
    assert await life.store.lookup(AnyKey()) is True


async def test_a_key_is_revoked_for_good_and_stays_in_lists(life: Life) -> None:
    made = await make(life)
    await life.store.apply(RevokeKey(made.prefix, "a", life.later()))
    first = life.now
    await life.store.apply(RevokeKey(made.prefix, "*", life.later()))
    (found,) = await life.store.scan(KeysOfTenant("a"))
    assert (found.revoked_at, found.problem(first)) == (first, "it was revoked")
    assert await life.store.lookup(AnyKey()) is True


async def test_another_tenants_key_does_not_exist(life: Life) -> None:
    made = await make(life)
    for tenant in ("b", ""):
        with pytest.raises(NotFound):
            await life.store.apply(RevokeKey(made.prefix, tenant, life.later()))
        with pytest.raises(NotFound):
            await life.store.lookup(KeyOfTenant(made.prefix, tenant))
        assert await life.store.scan(KeysOfTenant(tenant)) == []
    assert await life.store.lookup(KeyOfTenant(made.prefix, "*")) == made


async def test_keys_are_listed_newest_first(life: Life) -> None:
    made = [await make(life, f"{i:012x}", tenant="ab"[i % 2]) for i in range(4)]
    assert await life.store.scan(KeysOfTenant("*")) == made[::-1]
    assert await life.store.scan(KeysOfTenant("b")) == [made[3], made[1]]


async def test_the_latest_use_is_what_stays(life: Life) -> None:
    one, two = await make(life), await make(life, "aaaaaaaaaaaa")
    await life.store.apply(NoteKeysUsed({one.prefix: 50, two.prefix: 70, "gone": 1}))
    await life.store.apply(NoteKeysUsed({one.prefix: 40, two.prefix: 90}))
    used = {key.prefix: key.last_used_at for key in await life.store.scan(KeysOfTenant("*"))}
    assert used == {one.prefix: 50, two.prefix: 90}


async def test_of_a_key_only_its_digest_is_kept(life: Life) -> None:
    made = await make(life)
    (row,) = await life.store.scan(Ask("SELECT * FROM api_keys"))
    assert bytes(row["digest"]) == made.digest
    assert "digest" not in repr(made)
