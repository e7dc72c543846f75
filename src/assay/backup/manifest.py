"""The manifest of a backup: what it is of, and every file in it with its digest."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec

from assay.model.errors import BackupDamaged

NAME = "manifest.json"
FORMAT = 1
"""Grows when a version that knows only the one before could not restore a backup any more."""


class Entry(msgspec.Struct, frozen=True):
    """A file: its path in the backup, its size in bytes, the hex of its sha256, when its source was last changed (ns)."""

    path: str
    size: int
    sha256: str
    mtime_ns: int = 0


class Manifest(msgspec.Struct, frozen=True):
    """What a backup is."""

    format: int
    assay: str
    """The version that made it."""
    created_at: str
    """RFC 3339: every job that was acknowledged before is in it."""
    database: str
    """`sqlite` or `postgresql`."""
    database_file: str
    schema: int
    """Number of the last migration."""
    migrations: dict[str, str]
    """Checksums of the applied migrations by number."""
    counts: dict[str, int]
    """Rows of each table."""
    files: list[Entry]
    missing: list[str] = []
    """Digests of blobs that the database names and this data folder did not have."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files)


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest durably, last of all: a backup without one is none."""
    body: dict[str, Any] = msgspec.to_builtins(manifest)
    data = msgspec.json.format(msgspec.json.encode(body | {"digest": _digest(body)}), indent=1)
    descriptor = os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> Manifest:
    """Return the manifest of a backup. Raises BackupDamaged, OSError."""
    try:
        body = msgspec.json.decode((folder / NAME).read_bytes())
        stated = body.pop("digest")
        if body["format"] > FORMAT:
            problem = f"format {body['format']} is newer than this version of Assay knows"
            raise BackupDamaged(path=folder, problem=problem, remedy=f"Use Assay {body['assay']} or a later version.")
        if stated != _digest(body):
            raise ValueError
        return msgspec.convert(body, Manifest)
    except FileNotFoundError as error:
        problem = f"it has no {NAME}, so it is no backup, or one that was not finished"
        raise BackupDamaged(path=folder, problem=problem, remedy="Name another; a finished one has it.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"its {NAME} was changed after it was written"
        raise BackupDamaged(path=folder, problem=problem, remedy="Use another backup.") from error


def _digest(body: dict[str, Any]) -> str:
    return f"sha256:{hashlib.sha256(msgspec.json.encode(body)).hexdigest()}"
