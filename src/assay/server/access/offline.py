"""Makes a key at the database itself: the first one, or one in the place of those that were lost.

Whoever can write the database may do everything anyway, so nobody is asked for a key. A SQLite file has one owner, so no
server may have it open meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from assay.config import Settings
from assay.config.values import MEMORY
from assay.model.access import Scope, scopes_of
from assay.model.errors import SettingInvalid
from assay.model.keys import REQUEST
from assay.model.shapes import read
from assay.server.access.roles import roles_of
from assay.server.keys import document, new_key
from assay.server.program import open_store, prepare
from assay.store.keys import CreateKey


def create_key(settings: Settings, request: Mapping[str, Any]) -> dict[str, Any]:
    """Store a new key; return its document with its text as `key`.

    Raises ValidationFailed, FirstKeyMustManage, StoreUnusable, SettingInvalid.
    """
    if settings.database == MEMORY:
        problem = "a database in memory is gone with its server; name another to make a key for it"
        raise SettingInvalid(name="database", origin=settings.origins["database"], problem=problem)
    return asyncio.run(_create(settings, dict(request)))


async def _create(settings: Settings, request: dict[str, Any]) -> dict[str, Any]:
    roles = roles_of(settings)
    key, text = new_key(read(REQUEST, "KeyRequest", request), roles)
    prepare(settings)
    store = await open_store(settings)
    try:
        await store.apply(CreateKey(key, manages=Scope.KEYS_MANAGE in scopes_of(roles, key.roles)))
    finally:
        await store.close()
    return {**document(key), "key": text}
