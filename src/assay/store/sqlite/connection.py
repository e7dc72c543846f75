"""Opens connections to the database file, and tells a user in words why one cannot be opened."""

from __future__ import annotations

import sqlite3
from operator import attrgetter
from pathlib import Path

from assay.model.errors import AssayError, StoreUnavailable, StoreUnusable
from assay.model.states import JobState, RunState, Status, Verdict, WorkerState

_SETTINGS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -8000",
)

# `sqlite3` looks for an adapter of every value that is not a number or a text; to find none costs it more than to bind the
# value, as that ends in an exception. So each kind of value has one, and none of them is Python code.
sqlite3.register_adapter(bytes, bytes.__bytes__)
sqlite3.register_adapter(type(None), {}.get)  # type: ignore[arg-type]
for _states in (JobState, RunState, Status, Verdict, WorkerState):
    sqlite3.register_adapter(_states, attrgetter("_value_"))


def connect(path: Path, *, read_only: bool = False, durable: bool = True) -> sqlite3.Connection:
    """Open the database; rows come back by column name. `durable`: fsync at every commit.

    Raises StoreUnusable when the file cannot be opened, is not a database, is damaged, or is another program's: before
    anything in it is changed.
    """
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    try:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=256)
    except sqlite3.Error as error:
        raise explain(error, path) from error
    try:
        connection.row_factory = sqlite3.Row
        for setting in _SETTINGS:
            connection.execute(setting)
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            _must_be_ours(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            # SQLite opens a file that may not be written to all the same, and would only refuse the first change.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("PRAGMA user_version = 1")
            connection.execute("ROLLBACK")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise explain(error, path) from error
    except StoreUnusable:
        connection.close()
        raise
    return connection


def _must_be_ours(connection: sqlite3.Connection, path: Path) -> None:
    tables = {row["name"] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if tables and "schema_migrations" not in tables:
        remedy = "It is left as it is; name another file as the database."
        raise StoreUnusable(path=path, error="another program has made it", remedy=remedy)


def explain(error: sqlite3.Error, path: Path) -> AssayError:
    """Return the error that tells a user what is wrong with the database file, and the remedy."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        remedy = (
            "The file was left as it is. Restore it from a backup, or move it away and start with a new one; "
            f"`sqlite3 {path.name} .recover` can often save the rows."
        )
        return StoreUnusable(path=path, error="it is damaged or not a database", remedy=remedy)
    if code == sqlite3.SQLITE_FULL:
        return StoreUnavailable(error="the disk is full", remedy=f"free space on the disk that holds {path.parent}")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        remedy = f"Give this user write access to {path.parent}, or choose another folder with --data."
        return StoreUnusable(path=path, error="it cannot be opened for writing", remedy=remedy)
    if code == sqlite3.SQLITE_IOERR:
        return StoreUnavailable(error="the disk reports an error", remedy=f"check the disk that holds {path.parent}")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreUnavailable(error="another process holds the database", remedy="stop the other process")
    return StoreUnavailable(error="it refused a statement", remedy="see the server's log")
