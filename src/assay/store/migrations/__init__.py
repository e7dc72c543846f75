"""The schema as numbered files, a folder for each dialect. Each is applied once; its checksum is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

from assay.model.errors import StoreUnusable


class Migration(NamedTuple):
    """One step of the schema."""

    number: int
    name: str
    sql: str
    checksum: str


def available(dialect: str) -> list[Migration]:
    """Return every migration that ships with this version, in order."""
    folder = resources.files(__package__).joinpath(dialect)
    found = []
    for file in sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name):
        sql = file.read_text(encoding="utf-8")
        found.append(Migration(int(file.name[:4]), file.name, sql, hashlib.sha256(sql.encode()).hexdigest()))
    return found


def outstanding(dialect: str, applied: Mapping[int, str], database: object) -> list[Migration]:
    """Return what is still to be applied to a database with the `applied` checksums by number.

    Raises StoreUnusable for a database of a newer version, or one whose migrations differ from ours.
    """
    ours = available(dialect)
    if set(applied) - {migration.number for migration in ours}:
        remedy = "Start the version that wrote it, or a later one."
        raise StoreUnusable(path=database, error="a newer version of Assay wrote it", remedy=remedy)
    for migration in ours:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            remedy = "It was made by a changed copy of Assay; start that copy, or choose another database."
            raise StoreUnusable(path=database, error=f"its migration {migration.number} differs from ours", remedy=remedy)
    return [migration for migration in ours if migration.number not in applied]
