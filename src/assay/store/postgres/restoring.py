"""Puts a copy of a PostgreSQL database into an empty one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from assay.config.masking import without_password
from assay.model.errors import StoreUnusable
from assay.store.postgres.address import Address
from assay.store.postgres.connection import connection
from assay.store.postgres.copying import PATIENCE_S, counts
from assay.store.postgres.drive import drive
from assay.store.postgres.migrations import migrate
from assay.store.postgres.programs import arguments, failure, program, start
from assay.store.restored import SkipNumbers

_SERVERS = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'assay' AND pid <> pg_backend_pid()"""


def occupied(url: str) -> str:
    """Say why nothing can be restored into a database, in words that follow its name; empty if something can.

    Raises StoreUnusable.
    """
    return asyncio.run(_occupied(url))


def load(url: str, copy: Path) -> dict[str, int]:
    """Put a copy into an empty database, all or nothing; return the rows of each table. Raises StoreUnusable."""
    bare, environment = arguments(url)
    words = [program("pg_restore"), "--no-owner", "--no-privileges", "--no-password", "--exit-on-error"]
    words += ["--single-transaction", f"--dbname={bare}", str(copy)]
    process = start(words, environment)
    try:
        _, told = process.communicate()
    finally:
        process.kill()
    if process.returncode:
        problem, remedy = failure("pg_restore", told)
        raise StoreUnusable(path=without_password(url), error=problem, remedy=remedy)
    return asyncio.run(_counts(url))


def make_ready(url: str) -> list[str]:
    """Bring the database up to date and put its counters forward; return the migrations that were applied."""
    return asyncio.run(_make_ready(url))


async def _occupied(url: str) -> str:
    async with connection(Address.of(url), patience_s=PATIENCE_S) as opened:
        if await opened.fetchval(_SERVERS):
            return "is used by a server"
        tables = await counts(opened)
    return f"is not empty: it has {len(tables)} tables" if tables else ""


async def _counts(url: str) -> dict[str, int]:
    async with connection(Address.of(url), patience_s=PATIENCE_S) as opened:
        return await counts(opened)


async def _make_ready(url: str) -> list[str]:
    done = await migrate(Address.of(url))
    async with connection(Address.of(url), patience_s=PATIENCE_S) as opened, opened.transaction():
        await drive(opened, SkipNumbers(), [])
    return done
