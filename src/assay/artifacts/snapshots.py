"""Takes snapshots: files of a folder go into the blob store, and stay there as they are whatever happens to the folder.

A file that is as it was (by inode, size and times) is not read again.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.artifacts.blobs import BlobStore
from assay.model.snapshot import SnapshotFile, encode

_CHUNK = 1 << 20
_REMEMBERED = 100_000
_PASSED_OVER = frozenset({"__pycache__", "node_modules"})


@dataclass(frozen=True)
class Files:
    """What a run needs of this machine: `paths` below `root`, or all that is there; `start` is the folder it starts in."""

    root: Path
    start: str = ""
    paths: tuple[str, ...] | None = None


class SnapshotTooLarge(Exception):
    """A folder holds more than a snapshot of all of it may."""


@dataclass(frozen=True)
class Limits:
    """Of a snapshot of a whole folder."""

    files: int = 10_000
    size: int = 1 << 30


class Snapshots:
    """Takes snapshots into a blob store. Safe in threads."""

    def __init__(self, blobs: BlobStore, limits: Limits | None = None) -> None:
        self.blobs, self._limits = blobs, limits or Limits()
        self._known: dict[tuple[int, ...], str] = {}
        self._lock = threading.Lock()

    def take(self, wanted: Files) -> tuple[str, list[str]]:
        """Return the digest of a snapshot of the files, and the digests of all blobs that it consists of.

        Raises OSError for a file that cannot be read, SnapshotTooLarge.
        """
        listed = self._everything(wanted.root) if wanted.paths is None else iter(wanted.paths)
        files = [self._file(wanted.root, path) for path in listed]
        digest = self._store(encode(files))
        return digest, [digest, *dict.fromkeys(file.digest for file in files)]

    def _everything(self, root: Path) -> Iterator[str]:
        """Yield every regular file below a folder, except what is hidden, made by tools, or a virtual environment."""
        count = size = 0
        seen: set[str] = set()
        for folder, below, names in os.walk(root, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen or "pyvenv.cfg" in names:
                below.clear()
                continue
            seen.add(real)
            below[:] = sorted(name for name in below if not (name.startswith(".") or name in _PASSED_OVER))
            for name in sorted(names):
                path = os.path.join(folder, name)
                try:
                    found = os.stat(path)
                except FileNotFoundError:  # a link to nothing, or gone since
                    continue
                if name.startswith(".") or not stat.S_ISREG(found.st_mode):
                    continue
                count, size = count + 1, size + found.st_size
                if count > self._limits.files or size > self._limits.size:
                    most = f"{self._limits.files} files or {self._limits.size >> 20} MiB"
                    raise SnapshotTooLarge(f"the folder {root} holds more than {most}")
                yield os.path.relpath(path, root)

    def _file(self, root: Path, path: str) -> SnapshotFile:
        with (root / path).open("rb") as file:
            found = os.fstat(file.fileno())
            key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            digest = self._known.get(key, "")
            if not (digest and self._touch(digest)):
                with self.blobs.writer() as blob:
                    while chunk := file.read(_CHUNK):
                        blob.write(chunk)
                    digest, size = blob.commit(), blob.size
                if size == found.st_size:
                    self._remember(key, digest)
            else:
                size = found.st_size
        return SnapshotFile(path, digest, size, bool(found.st_mode & stat.S_IXUSR))

    def _store(self, data: bytes) -> str:
        with self.blobs.writer() as blob:
            blob.write(data)
            digest = blob.digest
            return digest if self._touch(digest) else blob.commit()

    def _touch(self, digest: str) -> bool:
        """Say whether a blob is there; it is then as good as new, so that nobody sweeps it away before it is referred to."""
        try:
            os.utime(self.blobs.path(digest))
        except FileNotFoundError:
            return False
        return True

    def _remember(self, key: tuple[int, ...], digest: str) -> None:
        with self._lock:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = digest


def common_root(folder: Path, files: Sequence[Path]) -> Files:
    """Return `files` and their `folder`, in which the run starts, below the deepest folder that holds them all."""
    root = Path(os.path.commonpath([folder, *(file.parent for file in files)]))
    start = os.path.relpath(folder, root)
    return Files(root, "" if start == "." else start, tuple(sorted({os.path.relpath(file, root) for file in files})))
