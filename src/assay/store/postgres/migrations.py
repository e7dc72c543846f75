"""Brings a PostgreSQL database up to date; servers that start together wait for one another."""

from __future__ import annotations

import hashlib
import time

from assay.config.masking import without_password
from assay.store.migrations import outstanding
from assay.store.postgres.address import Address
from assay.store.postgres.connection import connection

_LOCK = 0x617373_6179
_LEDGER = """CREATE TABLE IF NOT EXISTS schema_migrations (
  number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)"""


async def migrate(address: Address) -> list[str]:
    """Apply what is outstanding, each in a transaction of its own; return the names. Raises StoreUnusable."""
    done: list[str] = []
    async with connection(address) as opened:
        while True:
            async with opened.transaction():
                # Locked for each anew: a pooler may give every transaction another connection.
                await opened.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                await opened.execute(_LEDGER)
                applied = {row["number"]: row["checksum"] for row in await opened.fetch("SELECT * FROM schema_migrations")}
                waiting = outstanding("postgres", applied, without_password(address.url))
                if not waiting:
                    return done
                number, name, sql, checksum = waiting[0]
                await opened.execute(sql)
                entry = "INSERT INTO schema_migrations VALUES ($1, $2, $3, $4)"
                await opened.execute(entry, number, name, checksum, time.time_ns() // 1000)
            done.append(name)


async def identity(address: Address) -> str:
    """Return a name of the database that is the same at every server, however its URL is written there.

    Its first migration was applied at a moment of its own. Raises StoreUnusable.
    """
    async with connection(address) as opened:
        born = "SELECT current_database() || '/' || applied_at FROM schema_migrations ORDER BY number LIMIT 1"
        return hashlib.sha256(str(await opened.fetchval(born)).encode()).hexdigest()[:12]
