"""Brings a SQLite file up to date."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from assay.model.errors import StoreUnusable
from assay.store.migrations import outstanding

_LEDGER = """CREATE TABLE IF NOT EXISTS schema_migrations (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"""


def migrate(connection: sqlite3.Connection, path: Path) -> list[str]:
    """Apply what is outstanding, each in a transaction of its own; return the names. Raises StoreUnusable.

    A table that is made anew must not take with it what refers to it, so foreign keys are checked at the end of each.
    """
    connection.execute(_LEDGER)
    applied = {row["number"]: row["checksum"] for row in connection.execute("SELECT * FROM schema_migrations")}
    done = []
    for number, name, sql, checksum in outstanding("sqlite", applied, path):
        entry = f"INSERT INTO schema_migrations VALUES ({number}, '{name}', '{checksum}', {time.time_ns() // 1000});"
        connection.execute("PRAGMA foreign_keys = OFF")
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\n{entry}")
            if connection.execute("PRAGMA foreign_key_check").fetchone():
                remedy = "It is left as it was; restore it from a backup."
                raise StoreUnusable(path=path, error=f"rows of it refer to others that are missing ({name})", remedy=remedy)
            connection.execute("COMMIT")
        except (sqlite3.Error, StoreUnusable):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        finally:
            connection.execute("PRAGMA foreign_keys = ON")
        done.append(name)
    return done
