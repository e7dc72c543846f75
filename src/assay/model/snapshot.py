"""Snapshots: trees of files by content, as a run needs them. A snapshot is itself a blob: its digest names every byte."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from assay.model.identity import is_digest


class SnapshotFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file of a tree. `path` is relative with `/`, `digest` is `sha256:<hex>`, `size` in bytes."""

    path: str
    digest: str
    size: int
    executable: bool = False


class Snapshot(msgspec.Struct, frozen=True):
    """The files of a tree, sorted by path."""

    files: list[SnapshotFile]


def encode(files: Iterable[SnapshotFile]) -> bytes:
    """Return the bytes of a snapshot: equal trees give equal bytes."""
    return msgspec.json.encode(Snapshot(sorted(files, key=lambda file: file.path)))


def decode(data: bytes) -> Snapshot:
    """Return a snapshot whose every path stays below the folder that it is laid out in. Raises ValueError."""
    try:
        snapshot = msgspec.json.decode(data, type=Snapshot)
    except msgspec.DecodeError as error:
        raise ValueError(f"it is no snapshot: {error}") from error
    paths = {file.path for file in snapshot.files}
    if len(paths) != len(snapshot.files):
        raise ValueError("a path occurs twice")
    for file in snapshot.files:
        parts = file.path.split("/")
        if not file.path or "\0" in file.path or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"the path {file.path!r} does not stay in its folder")
        if any("/".join(parts[:n]) in paths for n in range(1, len(parts))):
            raise ValueError(f"the path {file.path!r} goes through a file")
        if not is_digest(file.digest) or file.size < 0:
            raise ValueError(f"the file {file.path!r} has no digest or no size")
    return snapshot
