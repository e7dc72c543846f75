"""Brings a PostgreSQL database up to date; servers that start together wait for one another."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from assay.model.errors import StoreUnusable
from assay.store.migrations import outstanding

_LOCK = 0x617373_6179
_LEDGER = """CREATE TABLE IF NOT EXISTS schema_migrations (
  number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)"""


async def migrate(url: str) -> list[str]:
    """Apply what is outstanding; return the names. Raises StoreUnusable, which never shows the URL's password."""
    shown = shown_url(url)
    try:
        connection: Any = await asyncpg.connect(url, timeout=10)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        remedy = "Check that PostgreSQL runs there, and the user, password and database name of --database."
        raise StoreUnusable(path=shown, error=f"no connection ({type(error).__name__})", remedy=remedy) from error
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(_LEDGER)
        applied = {row["number"]: row["checksum"] for row in await connection.fetch("SELECT * FROM schema_migrations")}
        done = []
        for number, name, sql, checksum in outstanding("postgres", applied, shown):
            async with connection.transaction():
                await connection.execute(sql)
                entry = "INSERT INTO schema_migrations VALUES ($1, $2, $3, $4)"
                await connection.execute(entry, number, name, checksum, time.time_ns() // 1000)
            done.append(name)
        return done
    except asyncpg.InsufficientPrivilegeError as error:
        remedy = "Grant the user CREATE on the database's schema."
        raise StoreUnusable(path=shown, error="its user may not make tables", remedy=remedy) from error
    finally:
        await connection.close()


def shown_url(url: str) -> str:
    """Return a database URL without its password."""
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{user}{parts.hostname or ''}{port}{parts.path}"
