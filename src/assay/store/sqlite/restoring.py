"""Makes a copy of a SQLite database ready to be used by a server."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from assay.store.restored import SkipNumbers
from assay.store.sqlite.connection import connect, explain
from assay.store.sqlite.drive import drive
from assay.store.sqlite.migrations import migrate


def make_ready(path: Path) -> list[str]:
    """Bring the copy at `path` up to date and put its counters forward; return the migrations that were applied.

    The file stands for itself afterwards. Raises StoreUnusable.
    """
    connection = connect(path)
    try:
        done = migrate(connection, path)
        connection.execute("BEGIN IMMEDIATE")
        drive(connection, SkipNumbers())
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise explain(error, path) from error
    finally:
        connection.close()
    return done
