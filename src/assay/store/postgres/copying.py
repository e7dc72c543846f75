"""Copies a PostgreSQL database with pg_dump while servers write it, and looks into copies without a server.

What is in the database is asked in the very snapshot that pg_dump copies. A copy is looked into by having pg_restore write
it out as text, in which each table is a block of lines; so all of it is read, decompressed and counted.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assay.config.masking import without_password
from assay.model.errors import StoreUnusable
from assay.store.contents import LEDGER, Contents
from assay.store.postgres.address import Address
from assay.store.postgres.connection import connection
from assay.store.postgres.programs import arguments, failure, program, start

_BLOCK = re.compile(rb'COPY (?:\w+\.)?"?(\w+)"? \(([^)]*)\) FROM stdin;\n')
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"


PATIENCE_S = 3600.0
"""How long one statement may take that reads, or writes, all rows of a table."""


class Postgres:
    """A PostgreSQL database, copied into one file of pg_dump's custom format. Needs no URL to look into copies."""

    kind, file = "postgresql", "assay.dump"

    def __init__(self, url: str) -> None:
        self.url = url

    def size(self) -> int:
        """Return how many bytes the database has; its copy is compressed."""
        return asyncio.run(self._size())

    def copy(self, target: Path) -> Contents:
        """Copy the database to the new file `target`, for its owner alone; return what was copied.

        Raises StoreUnusable, also where pg_dump is missing or too old; OSError for a disk that is full.
        """
        return asyncio.run(self._copy(target))

    def contents(self, path: Path) -> Contents:
        """Return what a copy holds. Raises StoreUnusable for one that is damaged, and where pg_restore is missing."""
        return _read(path)

    async def _size(self) -> int:
        async with connection(Address.of(self.url)) as opened:
            return int(await opened.fetchval("SELECT pg_database_size(current_database())"))

    async def _copy(self, target: Path) -> Contents:
        command = program("pg_dump")
        async with (
            connection(Address.of(self.url), patience_s=PATIENCE_S) as opened,
            opened.transaction(isolation="repeatable_read", readonly=True),
        ):
            contents = await _contents(opened, self.url)
            snapshot = await opened.fetchval("SELECT pg_export_snapshot()")
            bare, environment = arguments(self.url)
            words = [command, "--format=custom", "--no-owner", "--no-privileges", "--no-password"]
            words += [f"--snapshot={snapshot}", f"--dbname={bare}"]
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                await asyncio.to_thread(_dump, words, environment, file, self.url, target)
        return contents


async def counts(opened: Any) -> dict[str, int]:
    """Return how many rows each table has."""
    tables = [row["tablename"] for row in await opened.fetch(_TABLES)]
    return {table: await opened.fetchval(f'SELECT count(*) FROM "{table}"') for table in tables}


async def _contents(opened: Any, url: str) -> Contents:
    counted = await counts(opened)
    if LEDGER not in counted or "jobs" not in counted:
        remedy = "Name another database."
        raise StoreUnusable(path=without_password(url), error="it is no database of Assay", remedy=remedy)
    ledger = await opened.fetch("SELECT number, checksum FROM schema_migrations")
    migrations = {row["number"]: row["checksum"] for row in ledger}
    snapshots = "SELECT DISTINCT snapshot FROM plans WHERE snapshot <> ''"
    given = await opened.fetch(snapshots) if Contents.has_snapshots(migrations) else ()
    return Contents(
        counts=counted,
        migrations=migrations,
        jobs=frozenset(row["id"] for row in await opened.fetch("SELECT id FROM jobs")),
        blobs=frozenset(row["digest"] for row in await opened.fetch("SELECT DISTINCT digest FROM artifacts")),
        snapshots=frozenset(row["snapshot"] for row in given),
    )


def _dump(words: list[str], environment: dict[str, str], file: Any, url: str, target: Path) -> None:
    process = start(words, environment, file)
    try:
        _, told = process.communicate()
    finally:
        process.kill()
    if process.returncode:
        problem, remedy = failure("pg_dump", told)
        if "no space" in problem:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        raise StoreUnusable(path=without_password(url), error=problem, remedy=remedy)
    os.fsync(file.fileno())


def _read(path: Path) -> Contents:
    """Return what a copy holds, from the text that pg_restore makes of it."""
    process = start([program("pg_restore"), "--data-only", "--file=-", str(path)], None, subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    told: list[bytes] = []
    hearing = threading.Thread(target=lambda: told.append(process.stderr.read() if process.stderr else b""), daemon=True)
    hearing.start()
    found: dict[str, int] = {}
    kept: dict[str, list[dict[str, str]]] = {"jobs": [], "artifacts": [], LEDGER: []}
    try:
        for table, columns, lines in _blocks(process.stdout):
            wanted = kept.get(table)
            n = 0
            for line in lines:
                n += 1
                if wanted is not None:
                    values = line.decode().rstrip("\n").split("\t")
                    wanted.append(dict(zip(columns, values, strict=True)))
            found[table] = n
        code = process.wait()
        hearing.join()
    finally:
        process.kill()
        process.wait()
    if code:
        problem, remedy = failure("pg_restore", told[0])
        raise StoreUnusable(path=path, error=problem, remedy=remedy)
    return Contents(
        counts=found,
        migrations={int(row["number"]): row["checksum"] for row in kept[LEDGER]},
        jobs=frozenset(row["id"] for row in kept["jobs"]),
        blobs=frozenset(row["digest"] for row in kept["artifacts"]),
    )


def _blocks(text: Any) -> Iterator[tuple[str, list[str], Iterator[bytes]]]:
    """Yield the blocks of rows: table, columns, and lines, which must be read before the next block."""
    for line in text:
        if match := _BLOCK.fullmatch(line):
            columns = [name.strip(' "') for name in match[2].decode().split(",")]
            yield match[1].decode(), columns, iter(text.readline, b"\\.\n")
