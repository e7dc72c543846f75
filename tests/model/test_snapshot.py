"""Snapshots: equal trees are equal bytes, and no path leads out of its folder."""

from __future__ import annotations

import msgspec
import pytest

from assay.model.snapshot import Snapshot, SnapshotFile, decode, encode

DIGEST = "sha256:" + "a" * 64


def test_the_order_of_the_files_does_not_matter() -> None:
    files = [SnapshotFile("b", DIGEST, 1), SnapshotFile("a/c", DIGEST, 2, True)]
    assert encode(files) == encode(reversed(files))
    assert decode(encode(files)).files == sorted(files, key=lambda file: file.path)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/.", "..", "a/..", "x\0y"])
def test_a_path_that_leaves_its_folder_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="does not stay"):
        decode(msgspec.json.encode(Snapshot([SnapshotFile(path, DIGEST, 1)])))


@pytest.mark.parametrize(
    "files",
    [
        [SnapshotFile("a", DIGEST, 1), SnapshotFile("a", DIGEST, 1)],
        [SnapshotFile("a", DIGEST, 1), SnapshotFile("a/b/c", DIGEST, 1)],
        [SnapshotFile("a", "sha256:../../x", 1)],
        [SnapshotFile("a", DIGEST, -1)],
    ],
)
def test_a_tree_that_cannot_be_is_refused(files: list[SnapshotFile]) -> None:
    with pytest.raises(ValueError, match="path|digest"):
        decode(msgspec.json.encode(Snapshot(files)))


@pytest.mark.parametrize("data", [b"", b"[]", b'{"files":[{}]}', b'{"files":[{"path":1}]}'])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no snapshot"):
        decode(data)
