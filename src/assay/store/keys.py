"""API keys: make, revoke, look up, and note when they were used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from assay.model.access import EVERY_TENANT
from assay.model.errors import FirstKeyMustManage, NotFound
from assay.model.keys import ApiKey
from assay.store.base import Row, Steps, run
from assay.store.rows import encode


def _key(row: Row) -> ApiKey:
    columns = {**dict(row), "roles": _names(row["roles"]), "addresses": _names(row["addresses"])}
    columns["user"] = columns.pop("owner")
    return ApiKey(**columns)


def _names(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...])


@dataclass(frozen=True)
class CreateKey:
    """Store a new key. `manages`: it may make others. Raises FirstKeyMustManage where it may not and there is no key yet."""

    key: ApiKey
    manages: bool

    def steps(self) -> Steps[ApiKey]:
        if not self.manages and not (yield run("any_key")):
            raise FirstKeyMustManage
        key = self.key
        yield run(
            "insert_key",
            prefix=key.prefix,
            digest=key.digest,
            name=key.name,
            tenant=key.tenant,
            owner=key.user,
            roles=encode(key.roles).decode(),
            addresses=encode(key.addresses).decode(),
            now=key.created_at,
            created_by=key.created_by,
            expires_at=key.expires_at,
        )
        return key


@dataclass(frozen=True)
class RevokeKey:
    """Let a key count no more; one that was revoked before stays as it is. Raises NotFound for another tenant's."""

    prefix: str
    tenant: str
    now: int

    def steps(self) -> Steps[None]:
        yield from KeyOfTenant(self.prefix, self.tenant).steps()
        yield run("revoke_key", prefix=self.prefix, now=self.now)


@dataclass(frozen=True)
class NoteKeysUsed:
    """Write down when keys were used last: prefix to microseconds since 1970. The latest time stays."""

    times: Mapping[str, int]

    def steps(self) -> Steps[None]:
        for prefix in sorted(self.times):  # one order for all servers, so that none waits for another in a circle
            yield run("note_key_used", prefix=prefix, at=self.times[prefix])


@dataclass(frozen=True)
class KeyByPrefix:
    """The key of a prefix, None if there is none."""

    prefix: str

    def steps(self) -> Steps[ApiKey | None]:
        rows = yield run("key", prefix=self.prefix)
        return _key(rows[0]) if rows else None


@dataclass(frozen=True)
class KeysAmong:
    """Those of these prefixes that are a key's, with their keys."""

    prefixes: tuple[str, ...]

    def steps(self) -> Steps[list[ApiKey]]:
        return [_key(row) for row in (yield run("keys_among", prefixes=encode(self.prefixes).decode()))]


@dataclass(frozen=True)
class KeyOfTenant:
    """The key of a prefix as `tenant` sees it (`*`: whoever's it is). Raises NotFound."""

    prefix: str
    tenant: str

    def steps(self) -> Steps[ApiKey]:
        found = yield from KeyByPrefix(self.prefix).steps()
        if found is None or self.tenant not in (EVERY_TENANT, found.tenant):
            raise NotFound(kind="API key", id=self.prefix)
        return found


@dataclass(frozen=True)
class KeysOfTenant:
    """The keys of a tenant, or (`*`) all, newest first."""

    tenant: str

    def steps(self) -> Steps[list[ApiKey]]:
        if self.tenant == EVERY_TENANT:
            return [_key(row) for row in (yield run("keys"))]
        return [_key(row) for row in (yield run("keys_of_tenant", tenant=self.tenant))]


@dataclass(frozen=True)
class AnyKey:
    """Whether there has ever been a key."""

    def steps(self) -> Steps[bool]:
        return bool((yield run("any_key")))
