"""Copies the files of jobs, each with its digest, and shares with the backup before what has not changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from assay.backup.manifest import Entry
from assay.model import snapshot
from assay.store.contents import Contents

_CHUNK = 1 << 20


def blob_path(digest: str) -> str:
    """Return where a blob is in a data folder, and in a backup of one."""
    name = digest.removeprefix("sha256:")
    return f"blobs/{name[:2]}/{name[2:4]}/{name}"


def wanted(data: Path, contents: Contents) -> Iterator[str]:
    """Yield the paths in a data folder of what the database refers to: its blobs, and the logs of its jobs."""
    yield from map(blob_path, sorted(contents.blobs | set(_of_snapshots(data, contents))))
    with contextlib.suppress(FileNotFoundError):
        for folder in sorted(contents.jobs.intersection(os.listdir(data / "logs"))):
            yield from (f"logs/{folder}/{name}" for name in sorted(os.listdir(data / "logs" / folder)))


def _of_snapshots(data: Path, contents: Contents) -> Iterator[str]:
    """Yield the digests of snapshots and of their files, as far as they are here: servers share them through PostgreSQL."""
    for digest in contents.snapshots:
        try:
            held = snapshot.decode((data / blob_path(digest)).read_bytes()).files
        except (OSError, ValueError):
            continue
        yield digest
        yield from (file.digest for file in held)


def hashed(path: Path) -> tuple[int, str]:
    """Return size and sha256 of a file."""
    sha, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha.update(chunk)
            size += len(chunk)
    return size, sha.hexdigest()


def copied(source: Path, target: Path) -> tuple[int, str]:
    """Copy what a file holds now to a new one, durably and for its owner alone; return size and sha256."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    sha, left = hashlib.sha256(), source.stat().st_size
    size = 0
    with source.open("rb") as reader:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as writer:
            while left and (chunk := reader.read(min(left, _CHUNK))):  # a log that grows meanwhile is cut where it was
                writer.write(chunk)
                sha.update(chunk)
                size += len(chunk)
                left -= len(chunk)
            writer.flush()
            os.fsync(writer.fileno())
    return size, sha.hexdigest()


class Earlier:
    """The backup before, from which unchanged files are taken."""

    def __init__(self, folder: Path | None, entries: Iterable[Entry] = ()) -> None:
        self._folder = folder
        self._entries = {entry.path: entry for entry in entries}

    def entry(self, path: str, source: Path) -> Entry | None:
        """Return the entry of a file that has not changed since; None if it has, or was not there."""
        known = self._entries.get(path)
        if known is None:
            return None
        now = source.stat()
        unchanged = now.st_size == known.size and (path.startswith("blobs/") or now.st_mtime_ns == known.mtime_ns)
        return known if unchanged else None

    def linked(self, entry: Entry, target: Path) -> bool:
        """Link the earlier file to `target`; False where it is damaged, or links cannot be made."""
        assert self._folder is not None
        earlier = self._folder / entry.path
        try:
            if hashed(earlier) != (entry.size, entry.sha256):
                return False
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.link(earlier, target)
        except OSError:
            return False
        return True
