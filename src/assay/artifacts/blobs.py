"""Blobs on the local disk: named by their sha256, written once, never trusted by name."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Container
from pathlib import Path
from typing import BinaryIO

from assay.artifacts.disk import writing
from assay.model.errors import NotFound
from assay.model.identity import is_digest


class BlobStore:
    """A folder of blobs, two levels deep so that no folder grows large."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, digest: str) -> Path:
        """Return where a blob is, whether or not it is there. Raises NotFound for what is no digest."""
        if not is_digest(digest):
            raise NotFound(kind="blob", id=digest)
        name = digest.removeprefix("sha256:")
        return self._root / name[:2] / name[2:4] / name

    def writer(self) -> BlobWriter:
        """Return a writer for one new blob. Raises FolderUnavailable, and so do its methods."""
        with writing(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            return BlobWriter(self)

    def sweep(self, referenced: Container[str], older_than: float) -> int:
        """Delete blobs that are not `referenced` and were written before `older_than` (seconds since 1970); return how many.

        What has just been written may be about to be referred to, so leave it time.
        """
        dropped = 0
        for path in self._root.glob("[0-9a-f][0-9a-f]/*/*"):
            if f"sha256:{path.name}" not in referenced and path.stat().st_mtime < older_than:
                path.unlink(missing_ok=True)
                dropped += 1
        for path in self._root.glob("incoming-*"):
            if path.stat().st_mtime < older_than:
                path.unlink(missing_ok=True)
        return dropped

    @property
    def root(self) -> Path:
        """The folder of the store."""
        return self._root


class BlobWriter:
    """Takes the bytes of one blob; nothing is visible before `commit`. Use as a context manager."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        descriptor, name = tempfile.mkstemp(prefix="incoming-", dir=store.root)
        self._file: BinaryIO = os.fdopen(descriptor, "wb")
        self._path: Path | None = Path(name)
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what was not written yet is of no use any more
            self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Append bytes."""
        with writing(self._store.root):
            self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    @property
    def digest(self) -> str:
        """The digest of what has been written so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def commit(self) -> str:
        """Make the blob durable and return its digest. One that is there already is left alone."""
        with writing(self._store.root):
            return self._commit()

    def _commit(self) -> str:
        self._file.flush()
        os.fsync(self._file.fileno())
        digest = self.digest
        target = self._store.path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        assert self._path is not None
        os.replace(self._path, target)
        self._path = None
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return digest
