"""Which kind of database is copied, looked at and put back by whom."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from assay.config import Settings
from assay.config.values import MEMORY
from assay.model.errors import BackupFailed, ExtraMissing
from assay.store.contents import Contents
from assay.store.sqlite import copying


class Database(Protocol):
    """One kind of database. Methods raise StoreUnusable, and OSError for the file of the copy."""

    kind: str
    file: str
    """What a copy is called."""

    def size(self) -> int:
        """Return about how many bytes a copy will have."""
        ...

    def copy(self, target: Path) -> Contents:
        """Copy the database to a new file; return what was copied."""
        ...

    def contents(self, path: Path) -> Contents:
        """Return what a copy holds, having read all of it."""
        ...


class Sqlite:
    """A SQLite file."""

    kind, file = "sqlite", "assay.db"

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self) -> int:
        if not self.path.is_file():
            remedy = "Name the data folder of a server with --data, or its database with --database."
            raise BackupFailed(problem=f"there is no database at {self.path}", remedy=remedy)
        log = self.path.with_name(f"{self.path.name}-wal")
        return self.path.stat().st_size + (log.stat().st_size if log.is_file() else 0)

    def copy(self, target: Path) -> Contents:
        return copying.copy(self.path, target)

    def contents(self, path: Path) -> Contents:
        return copying.contents(path)


def of(settings: Settings) -> Database:
    """Return the database of these settings. Raises BackupFailed, ExtraMissing."""
    named: str = settings.database
    if named == MEMORY:
        remedy = "Start the server with a database that is kept."
        raise BackupFailed(problem="a database in memory is gone with its server", remedy=remedy)
    if named.startswith("postgres"):
        return postgres(named)
    return Sqlite(settings.database_file)


def postgres(url: str) -> Database:
    """Return the PostgreSQL database at `url`; an empty one will do to look into copies. Raises ExtraMissing."""
    try:
        from assay.store.postgres.copying import Postgres
    except ImportError as error:
        raise ExtraMissing(feature="PostgreSQL", extra="pg") from error
    return Postgres(url)
