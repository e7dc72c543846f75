"""Brings a PostgreSQL database up to date; servers that start together wait for one another."""

from __future__ import annotations

import time

from assay.config.masking import without_password
from assay.store.migrations import outstanding
from assay.store.postgres.connection import connection

_LOCK = 0x617373_6179
_LEDGER = """CREATE TABLE IF NOT EXISTS schema_migrations (
  number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)"""


async def migrate(url: str) -> list[str]:
    """Apply what is outstanding, each in a transaction of its own; return the names. Raises StoreUnusable."""
    async with connection(url) as opened:
        await opened.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await opened.execute(_LEDGER)
        applied = {row["number"]: row["checksum"] for row in await opened.fetch("SELECT * FROM schema_migrations")}
        done = []
        for number, name, sql, checksum in outstanding("postgres", applied, without_password(url)):
            async with opened.transaction():
                await opened.execute(sql)
                entry = "INSERT INTO schema_migrations VALUES ($1, $2, $3, $4)"
                await opened.execute(entry, number, name, checksum, time.time_ns() // 1000)
            done.append(name)
        return done
