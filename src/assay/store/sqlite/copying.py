"""Copies a SQLite database while its server writes it, and looks into copies.

The copy is made by another process than the server, which reads and never writes. It holds one snapshot for all of the
copy, so it never has to begin again however much is written meanwhile, and no writer ever waits for it: what is written in
that time only stays in the write-ahead log for so long. It goes in small steps with pauses, to leave the disk to the server.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from assay.model.errors import StoreUnusable
from assay.store.contents import LEDGER, Contents
from assay.store.sqlite.connection import explain

_PAGES = 256
"""Pages of one step, 1 MiB of them in all."""
_LONGEST_PAUSE_S = 0.05


def copy(path: Path, target: Path) -> Contents:
    """Copy the database at `path` to the new file `target`, readable by its owner alone; return what was copied.

    Raises StoreUnusable for what is no database of Assay, OSError when the copy cannot be written.
    """
    with _reading(path) as source:
        source.execute("BEGIN")
        contents = _contents(source, path)
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        last = time.monotonic()

        def pause(*_: int) -> None:
            nonlocal last
            time.sleep(min(time.monotonic() - last, _LONGEST_PAUSE_S))
            last = time.monotonic()

        copied = sqlite3.connect(target, isolation_level=None)
        try:
            copied.execute("PRAGMA journal_mode = OFF")
            copied.execute("PRAGMA synchronous = OFF")
            source.backup(copied, pages=_PAGES, progress=pause)
        except sqlite3.Error as error:
            raise _not_written(error, path, target) from error
        finally:
            copied.close()
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return contents


def contents(path: Path) -> Contents:
    """Return what a copy that nobody writes holds. Raises StoreUnusable for one that is damaged."""
    with _reading(path, immutable=True) as connection:
        try:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
            found += [f"a row of {row[0]} names one of {row[2]} that is not there" for row in _strays(connection)]
        except sqlite3.Error as error:
            raise _damaged(path, str(error)) from error
        if found != ["ok"]:
            raise _damaged(path, found[0] if found[0] != "ok" else found[1])
        return _contents(connection, path)


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many rows each table has."""
    tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name"
    return {
        name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
        for (name,) in connection.execute(tables).fetchall()
    }


@contextlib.contextmanager
def _reading(path: Path, *, immutable: bool = False) -> Iterator[sqlite3.Connection]:
    """Open a database for reading. `immutable`: nobody writes it, so nothing is made beside it."""
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
    try:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise explain(error, path) from error
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA busy_timeout = 5000")
        yield connection
    finally:
        connection.close()


def _contents(connection: sqlite3.Connection, path: Path) -> Contents:
    """Return what the snapshot of `connection` holds. Raises StoreUnusable."""
    try:
        counted = counts(connection)
        if LEDGER not in counted or "jobs" not in counted:
            raise StoreUnusable(
                path=path, error="it is no database of Assay", remedy="Name another data folder with --data."
            )
        migrations = dict(connection.execute("SELECT number, checksum FROM schema_migrations").fetchall())
        snapshots = "SELECT DISTINCT snapshot FROM plans WHERE snapshot <> ''"
        given = connection.execute(snapshots) if Contents.has_snapshots(migrations) else ()
        return Contents(
            counts=counted,
            migrations=migrations,
            jobs=frozenset(row[0] for row in connection.execute("SELECT id FROM jobs")),
            blobs=frozenset(row[0] for row in connection.execute("SELECT DISTINCT digest FROM artifacts")),
            snapshots=frozenset(row[0] for row in given),
        )
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _strays(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    return connection.execute("PRAGMA foreign_key_check").fetchmany(1)


def _damaged(path: Path, what: str) -> StoreUnusable:
    return StoreUnusable(path=path, error=f"it is damaged ({what})", remedy="Use another copy.")


def _not_written(error: sqlite3.Error, path: Path, target: Path) -> Exception:
    """Return what went wrong with a copy: the copy's disk, or the database."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF == sqlite3.SQLITE_FULL:
        return OSError(28, "No space left on device", str(target))
    if code & 0xFF == sqlite3.SQLITE_IOERR and code != sqlite3.SQLITE_IOERR_READ:
        return OSError(5, "Input/output error", str(target))
    return explain(error, path)
