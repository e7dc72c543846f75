"""Brings a SQLite file up to date."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from assay.store.migrations import outstanding

_LEDGER = """CREATE TABLE IF NOT EXISTS schema_migrations (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"""


def migrate(connection: sqlite3.Connection, path: Path) -> list[str]:
    """Apply what is outstanding, each in a transaction of its own; return the names. Raises StoreUnusable."""
    connection.execute(_LEDGER)
    applied = {row["number"]: row["checksum"] for row in connection.execute("SELECT * FROM schema_migrations")}
    done = []
    for number, name, sql, checksum in outstanding("sqlite", applied, path):
        entry = f"INSERT INTO schema_migrations VALUES ({number}, '{name}', '{checksum}', {time.time_ns() // 1000});"
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\n{entry}\nCOMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        done.append(name)
    return done
