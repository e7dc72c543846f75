"""Checks a backup: every file against its digest, the database against itself, and both against the manifest."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from pathlib import Path

from assay.backup import databases, files, manifest
from assay.backup.manifest import Manifest
from assay.model.errors import BackupDamaged, StoreUnusable
from assay.store.contents import Contents

_SHOWN = 3


def check(folder: Path, *, read: Container[str] = ()) -> Manifest:
    """Return the manifest of a backup that is whole. Raises BackupDamaged, which names what is not; OSError.

    `read`: paths that have just been read and compared.
    """
    found = manifest.read(folder)
    problems = list(_of_files(folder, found, read))
    if not problems:  # the database has been read in full, so what is wrong with it now was wrong when it was copied
        problems = list(_of_database(folder, found))
    if problems:
        more = f", and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        problem = "; ".join(problems[:_SHOWN]) + more
        raise BackupDamaged(
            path=folder, problem=problem, remedy="Use another backup, and check the disk that holds this one."
        )
    return found


def database(kind: str) -> databases.Database:
    """Return what looks into copies of databases of a kind."""
    return databases.postgres("") if kind == "postgresql" else databases.Sqlite(Path())


def differing(counts: Mapping[str, int], expected: Mapping[str, int]) -> Iterator[str]:
    """Yield in words where the rows of tables are not as many as they should be."""
    for table in sorted({*counts, *expected}):
        if counts.get(table) != expected.get(table):
            yield f"the database has {counts.get(table, 0)} rows in {table}, not {expected.get(table, 0)}"


def _of_files(folder: Path, found: Manifest, read: Container[str]) -> Iterator[str]:
    for entry in found.files:
        path = folder / entry.path
        if not path.resolve().is_relative_to(folder.resolve()):
            yield f"{entry.path} leads out of it"
        elif not path.is_file():
            yield f"{entry.path} is missing"
        elif entry.path not in read and files.hashed(path) != (entry.size, entry.sha256):
            yield f"{entry.path} was changed after it was written"
        elif entry.path.startswith("blobs/") and path.name != entry.sha256:
            yield f"{entry.path} is not what its name says"


def _of_database(folder: Path, found: Manifest) -> Iterator[str]:
    if found.database_file not in {entry.path for entry in found.files}:
        yield "it has no database"
        return
    try:
        held: Contents = database(found.database).contents(folder / found.database_file)
    except StoreUnusable as error:
        yield f"{found.database_file}: {error.details['error']}"
        return
    yield from differing(held.counts, found.counts)
    if {str(number): checksum for number, checksum in held.migrations.items()} != found.migrations:
        yield "the database has other migrations than the manifest says"
    there = {entry.path for entry in found.files} | {files.blob_path(digest) for digest in found.missing}
    lost = sorted(digest for digest in held.blobs if files.blob_path(digest) not in there)
    if lost:
        yield f"{len(lost)} artifacts of its jobs are not in it, such as {lost[0]}"
