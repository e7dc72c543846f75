"""The folder of backups: one folder for each, named by the time it was begun.

A backup under way has a name that begins with `.unfinished-`. One that was killed leaves such a folder; the next backup
removes it, and nothing ever takes it for a backup.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import itertools
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from assay.backup import manifest
from assay.model.errors import BackupDamaged, BackupFailed

_MARK = ".assay-backups"
UNFINISHED = ".unfinished-"
_NAME = re.compile(r"\d{8}T\d{6}Z(-\d+)?")


def backups(folder: Path) -> list[Path]:
    """Return the finished backups in a folder, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and (path / manifest.NAME).is_file()]
    return sorted(found, key=lambda path: _order(path.name))


def chosen(path: Path) -> Path:
    """Return the backup that `path` is, or the newest in it. Raises BackupDamaged."""
    if (path / manifest.NAME).is_file():
        return path
    if found := backups(path):
        return found[-1]
    problem = "there is no such folder" if not path.exists() else "there is no finished backup in it"
    raise BackupDamaged(path=path, problem=problem, remedy="Name a backup, or the folder of several.")


@contextlib.contextmanager
def opened(folder: Path, data: Path) -> Iterator[None]:
    """Make a folder ready for a backup of `data`, and keep other backups out of it. Raises BackupFailed, OSError."""
    _must_fit(folder, data)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark = folder / _MARK
    if not mark.exists() and any(folder.iterdir()):
        problem = f"{folder} holds other things than backups"
        raise BackupFailed(problem=problem, remedy="Name a folder that is new or empty, or that Assay has made backups in.")
    descriptor = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            problem = f"another backup into {folder} is under way"
            raise BackupFailed(problem=problem, remedy="Wait until it has ended.") from error
        for left in folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def unfinished(folder: Path, began: datetime.datetime) -> Iterator[Path]:
    """Yield a new folder for a backup. After the block it has its name; if the block fails it is gone."""
    name = _free_name(folder, f"{began:%Y%m%dT%H%M%SZ}")
    making = folder / f"{UNFINISHED}{name}"
    making.mkdir(mode=0o700)
    try:
        yield making
        for below, _, _ in os.walk(making):
            sync(Path(below))
        os.rename(making, folder / name)
        sync(folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def _free_name(folder: Path, stamp: str) -> str:
    """Return a name for a backup that was begun in a second: after all others of that second, of which some may be gone."""
    taken = {path.name for path in folder.iterdir()}
    before = [_order(path.name) for path in backups(folder)]
    newest = max((number for one, number in before if one == stamp), default=0)
    names = (f"{stamp}-{number}" if number > 1 else stamp for number in itertools.count(newest + 1))
    return next(name for name in names if name not in taken)


def thin(folder: Path, keep: int) -> list[Path]:
    """Delete all but the newest `keep` backups; return those that are gone."""
    old = backups(folder)[:-keep]
    for path in old:
        # Renamed first: one that is half deleted is no backup.
        going = folder / f"{UNFINISHED}{path.name}"
        os.rename(path, going)
        shutil.rmtree(going)
    return old


def sync(folder: Path) -> None:
    """Make the entries of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _must_fit(folder: Path, data: Path) -> None:
    place = folder.resolve()
    if place == data.resolve() or data.resolve() in place.parents:
        problem = f"{folder} lies in the data folder, and would be lost together with it"
        raise BackupFailed(problem=problem, remedy="Name a folder outside of it, best on another disk.")
    if folder.exists() and not folder.is_dir():
        raise BackupFailed(problem=f"{folder} is a file", remedy="Name a folder.")


def _order(name: str) -> tuple[str, int]:
    stamp, _, number = name.partition("-")
    return stamp, int(number or 1)
