"""API keys: make, list, show, revoke. A key itself is in one answer, that to its making, and nowhere else."""

from __future__ import annotations

import os
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from assay.model.access import ANY_USER, EVERY_TENANT, OF_WORKERS, Roles, Scope, scopes_of
from assay.model.errors import NotGrantable, ReservedUser, ValidationFailed
from assay.model.keys import PREFIX_BYTES, REQUEST, SECRET_BYTES, ApiKey, digest_of, key_text, prefix_of
from assay.scheduler.catalogue import SYSTEM
from assay.scheduler.identifiers import now, rfc3339
from assay.server.body import read_json
from assay.server.evalhub.paging import Window, page_of
from assay.server.evalhub.queries import Parameters
from assay.server.evalhub.unknown import read_warned
from assay.server.respond import dump, json_response, no_content
from assay.server.services import Caller, caller, services
from assay.store.keys import CreateKey, KeyOfTenant, KeysOfTenant, RevokeKey

_LIMIT = 1 << 16
_LIST_PARAMETERS = ("limit", "offset")


async def create(request: Request) -> Response:
    """Make a key; the answer is the only place where it stands."""
    at, who = services(request), caller(request)
    body, warning = await read_json(request, _LIMIT, lambda given: read_warned(REQUEST, "KeyRequest", given))
    key, text = new_key(body, at.keyring.roles, default_tenant=who.tenant, created_by=who.key)
    _require_grantable(key, who, at.keyring.roles)
    await at.store.apply(CreateKey(key, manages=True))
    return json_response({**document(key), "key": text}, 201, {"Cache-Control": "no-store", **warning})


async def page(request: Request) -> Response:
    """Answer with a page of keys, newest first."""
    at, parameters = services(request), Parameters(request)
    window = Window.of(parameters, at.settings.max_page_items)
    parameters.only_known(_LIST_PARAMETERS)
    found = await at.store.scan(KeysOfTenant(_sees(caller(request))))
    items = (dump(document(key)) for key in window.of_list(found))
    return Response(page_of(parameters, window, len(found), items), media_type="application/json")


async def get(request: Request) -> Response:
    """Answer with what is known of a key."""
    key = await services(request).store.lookup(KeyOfTenant(request.path_params["key_id"], _sees(caller(request))))
    return json_response(document(key))


async def revoke(request: Request) -> Response:
    """Let a key count no more: at once here, within two seconds at other servers."""
    at, prefix = services(request), request.path_params["key_id"]
    await at.store.apply(RevokeKey(prefix, _sees(caller(request)), now()))
    at.keyring.forget(prefix)
    return no_content()


def new_key(body: dict[str, Any], roles: Roles, *, default_tenant: str = "", created_by: str = "") -> tuple[ApiKey, str]:
    """Return what is stored of a new key that a (read) request asks for, and its text.

    Raises ValidationFailed for a role that there is not and for workers of one tenant, ReservedUser.
    """
    for i, role in enumerate(body["roles"]):
        if role not in roles:
            raise ValidationFailed(error=f"roles[{i}]: '{role}' is no role here. There are: {', '.join(sorted(roles))}")
    tenant = body.get("tenant", default_tenant)
    if Scope.WORK in scopes_of(roles, body["roles"]) and tenant != EVERY_TENANT:
        raise ValidationFailed(error="tenant: a worker carries out the runs of all tenants, so its key is of the tenant *")
    user = body.get("user", body["name"])
    if user == SYSTEM:
        raise ReservedUser(user=user)
    text = key_text(os.urandom(PREFIX_BYTES), os.urandom(SECRET_BYTES))
    moment, lasts = now(), body.get("expires_in_seconds")
    key = ApiKey(
        prefix=prefix_of(text.encode()) or "",
        digest=digest_of(text.encode()),
        name=body["name"],
        tenant=tenant,
        user=user,
        roles=tuple(body["roles"]),
        addresses=tuple(body.get("addresses", ())),
        created_at=moment,
        created_by=created_by,
        expires_at=moment + lasts * 1_000_000 if lasts else None,
    )
    return key, text


def document(key: ApiKey) -> dict[str, Any]:
    """Return what users see of a key."""
    times = {
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }
    return {
        "id": key.prefix,
        "name": key.name,
        "tenant": key.tenant,
        "user": key.user,
        "roles": key.roles,
        "addresses": key.addresses,
        **{name: rfc3339(moment) for name, moment in times.items() if moment is not None},
        "state": "revoked" if key.revoked_at is not None else "expired" if key.problem(now()) else "active",
    }


def _sees(who: Caller) -> str:
    """Return whose keys a caller sees: those of its tenant, or, with a key for all tenants that names none, all."""
    return EVERY_TENANT if who.every_tenant and not who.tenant else who.tenant


def _require_grantable(key: ApiKey, who: Caller, roles: Roles) -> None:
    """Raise NotGrantable for powers that the maker of a key has not got. Only workers' powers may be handed on by others:
    by those who may manage the keys of all tenants."""
    if key.tenant != who.tenant and not who.every_tenant:
        raise NotGrantable(field="tenant", what=f"the tenant '{key.tenant}'")
    if key.user == ANY_USER and not who.every_tenant:
        raise NotGrantable(field="user", what="the right to speak for any user")
    beyond = scopes_of(roles, key.roles) - who.scopes - (OF_WORKERS if who.every_tenant else frozenset())
    for scope in sorted(beyond):
        raise NotGrantable(field="roles", what=f"the scope {scope}")
