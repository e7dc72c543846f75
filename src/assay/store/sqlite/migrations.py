"""Numbered migrations: each is applied once, in order, in a transaction of its own, and its checksum is kept."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from importlib import resources
from pathlib import Path

from assay.model.errors import StoreUnusable

_LEDGER = """CREATE TABLE IF NOT EXISTS schema_migrations (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"""


def available() -> list[tuple[int, str, str]]:
    """Return every migration that ships with this version: number, file name, SQL."""
    folder = resources.files("assay.store").joinpath("migrations/sqlite")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    return [(int(file.name.split("_", 1)[0]), file.name, file.read_text(encoding="utf-8")) for file in files]


def migrate(connection: sqlite3.Connection, path: Path) -> list[str]:
    """Bring the database up to date; return the names of the migrations that were applied.

    Raises StoreUnusable for a database of a newer version, or one whose applied migrations differ from ours.
    """
    connection.execute(_LEDGER)
    applied = {
        row["number"]: (row["name"], row["checksum"]) for row in connection.execute("SELECT * FROM schema_migrations")
    }
    ours = available()
    newer = set(applied) - {number for number, _, _ in ours}
    if newer:
        remedy = "Start the version that wrote it, or a later one."
        raise StoreUnusable(path=path, error="a newer version of Assay wrote it", remedy=remedy)
    done = []
    for number, name, sql in ours:
        checksum = hashlib.sha256(sql.encode()).hexdigest()
        if number in applied:
            if applied[number][1] != checksum:
                remedy = "It was made by a changed copy of Assay; start that copy, or move the file away."
                raise StoreUnusable(path=path, error=f"its migration {number} differs from ours", remedy=remedy)
            continue
        entry = f"INSERT INTO schema_migrations VALUES ({number}, '{name}', '{checksum}', {time.time_ns() // 1000});"
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\n{entry}\nCOMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        done.append(name)
    return done
