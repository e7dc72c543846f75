"""Puts a backup into a new place.

Everything is written beside its place first, checked there, and moved in at the end, the database last; so a restore that
is killed leaves nothing that a server would take for its data.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from assay.backup import checking, data_folder, files, folder, settings_file
from assay.backup.disk import explained, private
from assay.backup.manifest import Manifest
from assay.config import Settings
from assay.config.masking import without_password
from assay.model.errors import ExtraMissing, RestoreRefused, StoreUnusable
from assay.store.contents import LEDGER
from assay.store.migrations import outstanding
from assay.store.sqlite import copying, restoring
from assay.store.sqlite.store import own

_STAGING = ".restoring"
_FOLDERS = ("blobs", "logs")


class Restored(NamedTuple):
    """What was restored: from which backup, into what, its manifest, the migrations applied, where the old things are."""

    backup: Path
    data: Path
    database: str
    manifest: Manifest
    migrations: list[str]
    replaced: Path | None


def restore(source: Path, settings: Settings, *, replace: bool = False) -> Restored:
    """Restore a backup, or the newest in a folder, into the data folder and the database of these settings.

    `replace`: move what is there aside. Raises BackupDamaged, RestoreRefused, StoreUnusable, ExtraMissing; then nothing of
    what was there has changed.
    """
    data: Path = settings.data
    with explained(data, RestoreRefused), private():
        backup = folder.chosen(source)
        found = checking.check(backup)
        _must_be_known(backup, found)
        _must_be_of_its_kind(found, settings)
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with data_folder.restored(data):
            if found.database == "sqlite":
                return _into_sqlite(backup, found, settings, replace)
            return _into_postgres(backup, found, settings, replace)


def _into_sqlite(backup: Path, found: Manifest, settings: Settings, replace: bool) -> Restored:
    place: Path = settings.database_file
    with _owned(place):
        _must_be_free(settings.data, place, replace)
        staging = _staged(backup, found, settings.data)
        copy = place.with_name(f"{place.name}{_STAGING}")
        for left in _with_its_log(copy):
            left.unlink(missing_ok=True)
        files.copied(backup / found.database_file, copy)
        applied = restoring.make_ready(copy)
        _must_agree(copying.contents(copy).counts, found, applied)
        replaced = _moved_aside(settings.data, place) if replace else None
        _moved_in(staging, settings.data)
        os.rename(copy, place)
        folder.sync(place.parent)
    return Restored(backup, settings.data, str(place), found, applied, replaced)


def _into_postgres(backup: Path, found: Manifest, settings: Settings, replace: bool) -> Restored:
    try:
        from assay.store.postgres import restoring as postgres
    except ImportError as error:
        raise ExtraMissing(feature="PostgreSQL", extra="pg") from error
    url: str = settings.database
    problem = postgres.occupied(url)
    if problem:
        remedy = "Stop the servers, make a new empty database, and name that with --database."
        raise RestoreRefused(problem=f"the database {without_password(url)} {problem}", remedy=remedy)
    _must_be_free(settings.data, None, replace)
    staging = _staged(backup, found, settings.data)
    counts = postgres.load(url, backup / found.database_file)
    _must_agree(counts, found, [])
    applied = postgres.make_ready(url)
    replaced = _moved_aside(settings.data, None) if replace else None
    _moved_in(staging, settings.data)
    return Restored(backup, settings.data, without_password(url), found, applied, replaced)


def _must_be_known(backup: Path, found: Manifest) -> None:
    """Raise RestoreRefused for a backup of a newer version, or of a changed copy of Assay."""
    dialect = "postgres" if found.database == "postgresql" else found.database
    try:
        outstanding(dialect, {int(number): checksum for number, checksum in found.migrations.items()}, backup)
    except StoreUnusable as error:
        problem = f"the backup {backup} has schema {found.schema} of Assay {found.assay}: {error.details['error']}"
        remedy = f"Restore it with Assay {found.assay} or a later version."
        raise RestoreRefused(problem=problem, remedy=remedy) from error


def _must_be_of_its_kind(found: Manifest, settings: Settings) -> None:
    named: str = settings.database
    if found.database == "postgresql" and not named.startswith("postgres"):
        remedy = "Name an empty PostgreSQL database with ASSAY_DATABASE (or --database)."
        raise RestoreRefused(problem="the backup is of a PostgreSQL database", remedy=remedy)
    if found.database == "sqlite" and named and not named.startswith("file:"):
        problem = f"the backup is of a SQLite file, and cannot go into {without_password(named)}"
        raise RestoreRefused(
            problem=problem, remedy="Leave --database and ASSAY_DATABASE away, or say --database file:PATH."
        )


def _must_be_free(data: Path, database: Path | None, replace: bool) -> None:
    taken = list(_occupants(data, database))
    if taken and not replace:
        problem = f"{data} is in use: it has {', '.join(path.name for path in taken)}"
        remedy = "Name another folder with --data, or have what is there moved aside with --replace."
        raise RestoreRefused(problem=problem, remedy=remedy)


def _occupants(data: Path, database: Path | None) -> Iterator[Path]:
    """Yield what a backup would replace."""
    if database:
        yield from (path for path in _with_its_log(database) if path.exists())
    for name in _FOLDERS:
        if (data / name).is_dir() and any((data / name).iterdir()):
            yield data / name


def _staged(backup: Path, found: Manifest, data: Path) -> Path:
    """Copy the blobs and logs of a backup into a folder in `data` from which they can be moved; return it."""
    staging = data / _STAGING
    if staging.exists():  # of a restore that was killed
        shutil.rmtree(staging)
    for name in _FOLDERS:
        (staging / name).mkdir(parents=True, mode=0o700)
    for entry in found.files:
        if entry.path.partition("/")[0] in _FOLDERS:
            target = staging / entry.path
            if files.copied(backup / entry.path, target) != (entry.size, entry.sha256):
                problem = f"{entry.path} of {backup} changed while it was read"
                raise RestoreRefused(problem=problem, remedy="Check the disk that holds the backup.")
            os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))
        elif entry.path == settings_file.NAME:
            files.copied(backup / entry.path, staging / entry.path)
    for below, _, _ in os.walk(staging):
        folder.sync(Path(below))
    for entry in found.files:
        written = staging / entry.path
        if written.is_file() and files.hashed(written) != (entry.size, entry.sha256):
            problem = f"{written} is not what was written to it"
            raise RestoreRefused(problem=problem, remedy=f"Check the disk that holds {data}.")
    return staging


def _must_agree(counts: Mapping[str, int], found: Manifest, applied: list[str]) -> None:
    """Raise RestoreRefused where the restored database has not the rows of the backup; migrations may add tables."""
    new = len(applied)
    expected = {table: n + (new if table == LEDGER else 0) for table, n in found.counts.items()}
    problems = list(checking.differing({table: counts.get(table, 0) for table in expected}, expected))
    if problems:
        raise RestoreRefused(problem="; ".join(problems), remedy="Use another backup.")


def _moved_aside(data: Path, database: Path | None) -> Path | None:
    """Move what a backup replaces into a folder of its own; return it, None if there was nothing."""
    taken = list(_occupants(data, database))
    if not taken:
        return None
    aside = data / f"replaced-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S%fZ}"
    aside.mkdir(mode=0o700)
    for path in taken:
        shutil.move(path, aside / path.name)
    return aside


def _moved_in(staging: Path, data: Path) -> None:
    for name in _FOLDERS:
        with contextlib.suppress(FileNotFoundError):
            (data / name).rmdir()  # empty, or it would have been refused or moved aside
        os.rename(staging / name, data / name)
    if not (data / settings_file.NAME).exists():
        with contextlib.suppress(FileNotFoundError):
            os.rename(staging / settings_file.NAME, data / settings_file.NAME)
    shutil.rmtree(staging)
    folder.sync(data)


def _with_its_log(database: Path) -> list[Path]:
    return [database, *(database.with_name(database.name + ending) for ending in ("-wal", "-shm"))]


@contextlib.contextmanager
def _owned(database: Path) -> Iterator[None]:
    """Keep servers away from a database. Raises RestoreRefused while one uses it."""
    try:
        descriptor = own(database)
    except StoreUnusable as error:
        raise RestoreRefused(problem=f"{database}: {error.details['error']}", remedy=error.details["remedy"]) from error
    try:
        yield
    finally:
        os.close(descriptor)
