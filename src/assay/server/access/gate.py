"""The way in: from the headers of a request to a caller who may make it, or a refusal.

In this order: the address, the key, the tenant and the user, the scope, the rate. A request that carries a known key costs a
few microseconds here and no input or output (`benchmarks/gate.py`).
"""

from __future__ import annotations

import hmac
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from assay.config import Settings
from assay.model.access import ANY_USER, EVERY_TENANT, OF_ALL_TENANTS, OF_WORKERS, UNCHECKED, Cost, Scope
from assay.model.errors import (
    AddressBanned,
    AddressNotAllowed,
    InvalidKey,
    KeyMismatch,
    KeyOfOneTenant,
    RateLimited,
    ScopeMissing,
    Unauthorised,
)
from assay.server.access.addresses import Address, Network, household, origin_of, within
from assay.server.access.bans import Bans
from assay.server.access.keyring import Keyring, Known
from assay.server.access.limits import Limiter, headers
from assay.server.access.stays import Stay, Stays
from assay.server.routes import Route
from assay.server.services import Caller, named

log = logging.getLogger(__name__)

NOBODY = Caller("", "", frozenset())
_KEY = b"assay_"
_TELLING = frozenset({b"x-tenant", b"x-user", b"authorization", b"x-forwarded-for"})
_SEND_ONE = (
    "Send one as `Authorization: Bearer KEY` (`assay` takes it from ASSAY_API_KEY or --key-file); whoever runs the server "
    "makes it with `assay keys create`."
)
_FOR_WORKERS = (
    "Give `assay worker` an API key with the role worker (--key-file), or start server and worker with the same "
    "ASSAY_WORKER_KEY in the environment."
)
FIRST_KEY = "assay keys create NAME --role admin --all-tenants --offline"
"""The command that makes a key where there is none yet to make others with."""
_FIRST_KEY = f"Make the first one with `{FIRST_KEY}` where the server keeps its data."


@dataclass(slots=True)
class Asked:
    """What a request says of its sender. The values of headers are as they came; empty for none."""

    peer: str
    tenant: bytes = b""
    user: bytes = b""
    authorization: bytes = b""
    forwarded: bytes = b""

    @classmethod
    def by(cls, scope: Mapping[str, Any]) -> Asked:
        """Return what the headers say. Of one that is sent twice the first counts, but for those that proxies add to."""
        client = scope.get("client")
        asked = cls(client[0] if client else "")
        for name, value in scope["headers"]:
            if name not in _TELLING:
                continue
            if name == b"x-tenant":
                asked.tenant = asked.tenant or value
            elif name == b"x-user":
                asked.user = asked.user or value
            elif name == b"authorization":
                asked.authorization = asked.authorization or value
            else:
                asked.forwarded = asked.forwarded + b"," + value if asked.forwarded else value
        return asked


@dataclass(frozen=True)
class Rules:
    """What the settings say about who may call."""

    needed: bool
    """Whether a key is needed though there is none yet."""
    allowed: tuple[Network, ...] = ()
    """Who may call at all, besides this machine; empty: everybody."""
    trusted: tuple[Network, ...] = ()
    """The proxies whose X-Forwarded-For counts."""

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """Return what the settings ask for."""
        needed = settings.require_keys or not (settings.on_loopback or settings.open_access)
        return cls(needed, settings.allowed_addresses, settings.trusted_proxies)


class Gate:
    """Lets requests in. `worker_key`: what the worker beside the server, and those that share its secret, call with."""

    def __init__(self, rules: Rules, keyring: Keyring, limiter: Limiter | None, bans: Bans, worker_key: str) -> None:
        self._rules, self._keyring, self._limiter, self._bans = rules, keyring, limiter, bans
        self._worker_key = worker_key.encode()
        self._by_address = bool(rules.allowed or rules.trusted)
        self.stays = Stays(keyring, bans, self._needed)
        """Those who get an answer that goes on."""

    def is_open(self, route: Route) -> bool:
        """Say whether everybody may call a route at any rate, so that nobody need be asked."""
        return route.scope is Scope.OPEN and route.cost_class is Cost.FREE and not self._by_address

    async def admit(self, asked: Asked, route: Route, added: list[tuple[bytes, bytes]]) -> Caller:
        """Return who makes a request to `route`; append the headers that its answer, refusals included, then carries.

        Raises AddressNotAllowed, AddressBanned, Unauthorised, InvalidKey, KeyMismatch, ScopeMissing, KeyOfOneTenant,
        RateLimited, BadRequest and StoreUnavailable.
        """
        token = _bearer(asked.authorization) if asked.authorization else b""
        known = self._keyring.fresh(token) if token else None
        if known is None and token and hmac.compare_digest(token, self._worker_key):
            return await self._worker(asked, route)  # wherever it calls from: nobody may lock the server's own worker out
        address = None
        if self._by_address:
            address = self._address(asked)
            if self._rules.allowed and not (address and address.is_loopback):
                _require_within(address, self._rules.allowed, "by this server", "its setting allowed_addresses")
        if route.scope is Scope.OPEN:
            if self._limiter and route.cost_class is not Cost.FREE:
                await self._limit(household(address or self._address(asked)), route.cost_class, added)
            return NOBODY
        if self._bans.any:
            self._require_not_banned(address or self._address(asked))
        if known is None and token:
            known = await self._check(token, asked, address)
        if known is None:
            who = await self._unchecked(asked, route)
        else:
            if known.networks:
                _require_within(address or self._address(asked), known.networks, "with this API key", "those of the key")
            who = self._permitted(_keyed(known, asked), known.key.roles, route)
        if self._limiter and not who.is_worker:
            one = who.key or household(address or self._address(asked))
            await self._limit(one, route.cost_class, added)
        return who

    def stay(self, who: Caller, asked: Asked) -> AbstractContextManager[Stay]:
        """Let a caller have an answer that goes on, in a block that ends early once it may not have it any more."""
        return self.stays.stay(who.key, household(self._address(asked)))

    async def _worker(self, asked: Asked, route: Route) -> Caller:
        """Return the caller with the workers' secret; where no key is needed it may also do what everybody may."""
        if route.scope is Scope.OPEN:
            return NOBODY
        free = frozenset() if await self._needed() else UNCHECKED
        who = Caller(named("X-Tenant", asked.tenant), named("X-User", asked.user), OF_WORKERS | free)
        return self._permitted(who, (), route)

    async def _check(self, token: bytes, asked: Asked, address: Address | None) -> Known | None:
        """Return the key; None where it is no key of Assay's and none is needed. Raises InvalidKey."""
        if not token.startswith(_KEY) and not await self._needed():
            return None  # meant for a proxy in front of the server, or just what a client always sends
        try:
            return await self._keyring.check(token)
        except InvalidKey as error:
            came_from = address or self._address(asked)
            if not (came_from and came_from.is_loopback):
                banned_s = self._bans.failed(household(came_from))
                if banned_s:
                    log.warning("%s sent too many wrong API keys and is banned for %.0f s", came_from, banned_s)
            raise error

    async def _unchecked(self, asked: Asked, route: Route) -> Caller:
        """Return a caller without a key. Raises Unauthorised where one is needed."""
        tenant, user = named("X-Tenant", asked.tenant), named("X-User", asked.user)
        if route.scope is Scope.WORK:
            raise Unauthorised(needed="the key of a worker", remedy=_FOR_WORKERS)
        if await self._needed():
            raise Unauthorised(needed="an API key", remedy=_SEND_ONE)
        if route.scope not in UNCHECKED:
            raise Unauthorised(needed="an API key, and there is none yet", remedy=_FIRST_KEY)
        return Caller(tenant, user, UNCHECKED)

    async def _needed(self) -> bool:
        return self._rules.needed or await self._keyring.any()

    def _permitted(self, who: Caller, roles: Sequence[str], route: Route) -> Caller:
        if route.scope not in who.scopes:
            held = ", ".join(roles) or "worker"
            raise ScopeMissing(scope=route.scope, prefix=who.key or "of the worker", roles=held)
        if route.scope in OF_ALL_TENANTS and who.key and not who.every_tenant:
            raise KeyOfOneTenant(prefix=who.key, tenant=who.tenant)
        return who

    def _address(self, asked: Asked) -> Address | None:
        return origin_of(asked.peer, asked.forwarded.decode("latin-1"), self._rules.trusted)

    def _require_not_banned(self, address: Address | None) -> None:
        left_s = self._bans.left(household(address))
        if left_s:
            raise AddressBanned(address=address, seconds=math.ceil(left_s), after_s=left_s)

    async def _limit(self, one: str, cost: Cost, added: list[tuple[bytes, bytes]]) -> None:
        assert self._limiter is not None
        taken = await self._limiter.take(one, cost) if cost is not Cost.FREE else None
        if taken is None:
            return
        added += headers(cost, taken)
        if not taken.allowed:
            rate = taken.rate
            raise RateLimited(
                cost=cost,
                seconds=math.ceil(taken.retry_s),
                burst=rate.burst,
                rate=f"{rate.per_second:g}",
                after_s=taken.retry_s,
            )


def _require_within(address: Address | None, networks: Sequence[Network], where: str, remedy: str) -> None:
    if address is None or not within(address, networks):
        raise AddressNotAllowed(address=address or "an unknown address", where=where, remedy=remedy)


def _bearer(authorization: bytes) -> bytes:
    """Return the token of an Authorization header; empty for another scheme, whose name's case does not matter."""
    return authorization[7:].strip() if authorization[:7].lower() == b"bearer " else b""


def _keyed(known: Known, asked: Asked) -> Caller:
    """Return whom a key speaks for. Raises KeyMismatch where the headers say somebody else."""
    key = known.key
    tenant, user = key.tenant, key.user
    if asked.tenant or tenant == EVERY_TENANT:
        sent = named("X-Tenant", asked.tenant)
        if tenant not in (EVERY_TENANT, sent):
            raise KeyMismatch(header="X-Tenant", sent=sent, prefix=key.prefix, what="tenant", held=tenant)
        tenant = sent
    if asked.user or user == ANY_USER:
        sent = named("X-User", asked.user)
        if user not in (ANY_USER, sent):
            raise KeyMismatch(header="X-User", sent=sent, prefix=key.prefix, what="user", held=user)
        user = sent
    return Caller(tenant, user, known.scopes, key.prefix, key.tenant == EVERY_TENANT)
