"""The keys that have been shown and were right, in memory; and when each was used, for the store.

A look-up of the store holds for a second, so a key that was revoked at another server ends here within that. Revoking it
here ends it at once.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from ipaddress import ip_network

from assay.model.access import Roles, Scope, scopes_of
from assay.model.errors import AssayError, InvalidKey
from assay.model.keys import ApiKey, prefix_of
from assay.server.access.addresses import Network
from assay.store.base import Store
from assay.store.keys import AnyKey, KeyByPrefix, KeysAmong, NoteKeysUsed

log = logging.getLogger(__name__)

FRESH_S = 1.0
"""How long what the store said of a key holds."""
MOST_KEYS = 10_000
"""Most keys in memory; those that were looked up longest ago go first, and are looked up again."""
_NOTE_S = 60.0
"""How often it is written down which keys were used."""
_PREFIX = slice(6, 18)
"""Where in a key its prefix stands."""


@dataclass(frozen=True)
class Known:
    """A key that is right, with what it grants."""

    key: ApiKey
    text_digest: bytes = field(repr=False)
    scopes: frozenset[Scope]
    looked_up: float

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """Where the key may be used from; empty: anywhere."""
        return tuple(map(ip_network, self.key.addresses))


class Keyring:
    """Checks keys. One for each server process."""

    def __init__(self, store: Store, roles: Roles, most: int = MOST_KEYS) -> None:
        self.roles = roles
        self._store, self._most = store, most
        self._known: dict[bytes, Known] = {}
        self._used: dict[str, int] = {}
        self._forgotten = 0
        self._any, self._any_asked = False, -FRESH_S

    async def any(self) -> bool:
        """Say whether there is a key, be it one that has ended. Once there is one this is never forgotten."""
        now = time.monotonic()
        if not self._any and now - self._any_asked > FRESH_S:
            self._any = await self._store.lookup(AnyKey())
            self._any_asked = now
        return self._any

    def fresh(self, text: bytes) -> Known | None:
        """Return a key that was looked up a moment ago: microseconds, no input or output. None says nothing."""
        known = self._known.get(text[_PREFIX])
        if known is None or time.monotonic() - known.looked_up > FRESH_S:
            return None
        if not hmac.compare_digest(known.text_digest, sha256(text).digest()):
            return None
        moment = time.time_ns() // 1000
        if known.key.expires_at is not None and known.key.expires_at <= moment:
            return None
        self._used[known.key.prefix] = moment
        return known

    async def check(self, text: bytes) -> Known:
        """Return a key. Raises InvalidKey for one that is unknown, was revoked or has expired, and StoreUnavailable."""
        known = self.fresh(text)
        return known if known is not None else await self._look_up(text)

    async def _look_up(self, text: bytes) -> Known:
        prefix = prefix_of(text)
        if prefix is None:
            raise InvalidKey(prefix="that was sent", problem="it is not written as a key is (assay_…_…)")
        # What is done with the key while the store is asked must not be overlooked.
        asked, forgotten = time.monotonic(), self._forgotten
        key = await self._store.lookup(KeyByPrefix(prefix))
        digest = sha256(text).digest()
        # Compared even where there is none: how long an answer takes must not tell which prefixes exist.
        right = hmac.compare_digest(key.digest if key else bytes(len(digest)), digest)
        if key is None or not right:
            raise InvalidKey(prefix=prefix, problem="it is not known")
        now = time.time_ns() // 1000
        if problem := key.problem(now):
            self.forget(prefix)
            raise InvalidKey(prefix=prefix, problem=problem)
        known = Known(key, digest, scopes_of(self.roles, key.roles), asked)
        if forgotten == self._forgotten:
            self._known.pop(prefix.encode(), None)
            self._known[prefix.encode()] = known
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]
        self._used[prefix] = now
        return known

    async def problems(self, prefixes: Collection[str]) -> dict[str, str]:
        """Return of those of the keys that do not count any more what the matter is. One question for all of them.

        Raises StoreUnavailable.
        """
        found = {key.prefix: key for key in await self._store.scan(KeysAmong(tuple(sorted(prefixes))))}
        now = time.time_ns() // 1000
        problems = {prefix: found[prefix].problem(now) if prefix in found else "it is not known" for prefix in prefixes}
        return {prefix: problem for prefix, problem in problems.items() if problem}

    def forget(self, prefix: str) -> None:
        """Look a key up again when it is next used: something has been done with it."""
        self._known.pop(prefix.encode(), None)
        self._forgotten += 1

    async def note_used(self) -> None:
        """Write down when keys were used, once a minute for ever; a last time when cancelled."""
        try:
            while True:
                await asyncio.sleep(_NOTE_S)
                await self._note()
        finally:
            await self._note()

    async def _note(self) -> None:
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._store.apply(NoteKeysUsed(used))
        except AssayError as error:
            self._used = used | self._used
            log.debug("when keys were used is not written down yet: %s", error.message)
