"""Makes a backup of a server that goes on working.

The database comes first, from one snapshot; then the blobs and logs that this copy names, which cannot go meanwhile because
they are held. Then everything is read again and compared.
"""

from __future__ import annotations

import contextlib
import datetime
import shutil
from pathlib import Path
from typing import NamedTuple

from assay import __version__
from assay.artifacts.holding import held
from assay.backup import checking, databases, files, folder, manifest, settings_file
from assay.backup.disk import explained, private
from assay.backup.manifest import Entry, Manifest
from assay.config import Settings
from assay.model.errors import BackupDamaged, BackupFailed
from assay.store.contents import Contents

_SPARE = 16 << 20
"""Bytes that stay free on the disk of the backups."""


class Made(NamedTuple):
    """A finished backup: where it is, its manifest, the bytes that it did not share, the old ones that were deleted."""

    path: Path
    manifest: Manifest
    written: int
    deleted: list[Path]


def make(settings: Settings, target: Path, *, keep: int = 0, allow_missing: bool = False) -> Made:
    """Make a backup in the folder `target`, check it, and give it its name.

    `keep`: delete all but the newest so many afterwards (0: none). `allow_missing`: blobs that are not in this data folder
    are noted and left out, as they are where servers do not share one. Raises BackupFailed, StoreUnusable, ExtraMissing;
    then no trace of it is left.
    """
    database = databases.of(settings)
    expected = database.size()
    with explained(target, BackupFailed), private(), folder.opened(target, settings.data):
        before = folder.backups(target)[-1:]
        earlier = _earlier(before[0] if before else None)
        began = datetime.datetime.now(datetime.UTC)
        with folder.unfinished(target, began) as making:
            _must_hold(target, expected)
            with held(settings.data):
                contents = database.copy(making / database.file)
                entries, missing, linked = _take(settings.data, contents, making, earlier)
            if missing and not allow_missing:
                problem = (
                    f"{len(missing)} of {len(contents.blobs)} artifacts are not in {settings.data}, such as {missing[0]}"
                )
                remedy = "Name the data folder that has them with --data, or leave them out with --allow-missing."
                raise BackupFailed(problem=problem, remedy=remedy)
            settings_file.write(making / settings_file.NAME, settings)
            for name in (database.file, settings_file.NAME):
                entries.append(Entry(name, *files.hashed(making / name)))
            made = Manifest(
                format=manifest.FORMAT,
                assay=__version__,
                created_at=f"{began:%Y-%m-%dT%H:%M:%SZ}",
                database=database.kind,
                database_file=database.file,
                schema=max(contents.migrations),
                migrations={str(number): checksum for number, checksum in contents.migrations.items()},
                counts=dict(contents.counts),
                files=entries,
                missing=missing,
            )
            manifest.write(making, made)
            try:
                checking.check(making, read=linked)
            except BackupDamaged as error:
                problem = f"what was written could not be read again: {error.details['problem']}"
                raise BackupFailed(problem=problem, remedy=f"Check the disk that holds {target}.") from error
        path = target / making.name.removeprefix(folder.UNFINISHED)
        deleted = folder.thin(target, keep) if keep else []
    written = sum(entry.size for entry in entries if entry.path not in linked)
    return Made(path, made, written, deleted)


def _take(data: Path, contents: Contents, making: Path, earlier: files.Earlier) -> tuple[list[Entry], list[str], set[str]]:
    """Copy or link the files of jobs; return their entries, the digests of missing blobs, and the paths that were linked."""
    entries, missing, linked = [], [], set[str]()
    fresh: list[str] = []
    for path in files.wanted(data, contents):
        source, target = data / path, making / path
        if not source.is_file():
            missing.append(f"sha256:{source.name}")
            continue
        known = earlier.entry(path, source)
        if known and earlier.linked(known, target):
            entries.append(known)
            linked.add(path)
        else:
            fresh.append(path)
    _must_hold(making, sum((data / path).stat().st_size for path in fresh))
    for path in fresh:
        changed_at = (data / path).stat().st_mtime_ns
        size, sha = files.copied(data / path, making / path)
        if path.startswith("blobs/") and sha != (data / path).name:
            problem = f"the artifact {data / path} is damaged: its content is not the one that it is named after"
            remedy = "Bring it back from an earlier backup, or delete its job, and try again."
            raise BackupFailed(problem=problem, remedy=remedy)
        entries.append(Entry(path, size, sha, changed_at))
    return entries, missing, linked


def _earlier(path: Path | None) -> files.Earlier:
    """Return the backup before this one; one that cannot be read is as good as none."""
    with contextlib.suppress(BackupDamaged, OSError):
        if path:
            return files.Earlier(path, manifest.read(path).files)
    return files.Earlier(None)


def _must_hold(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target).free
    if free < needed + _SPARE:
        problem = f"about {needed + _SPARE} bytes are needed in {target}, and {free} are free"
        raise BackupFailed(problem=problem, remedy="Free space there, delete old backups, or name another disk.")
