"""Taking snapshots of folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from assay.artifacts.blobs import BlobStore
from assay.artifacts.snapshots import Files, Limits, Snapshots, SnapshotTooLarge, common_root
from assay.model.snapshot import decode

VENV = ("venv/pyvenv.cfg", "venv/x")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "catalogue"
    for name in (
        "providers/p.yaml",
        "adapter.py",
        "data/rows.txt",
        ".git/config",
        "__pycache__/a.pyc",
        "venv/pyvenv.cfg",
        "venv/x",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (root / "adapter.py").chmod(0o755)
    return root


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    return Snapshots(BlobStore(tmp_path / "blobs"))


def paths(snapshots: Snapshots, files: Files) -> dict[str, bool]:
    digest, _ = snapshots.take(files)
    found = decode(snapshots.blobs.path(digest).read_bytes()).files
    assert all(snapshots.blobs.path(file.digest).stat().st_size == file.size for file in found)
    return {file.path: file.executable for file in found}


def test_a_folder_is_taken_without_what_is_hidden_made_by_tools_or_a_virtual_environment(
    folder: Path, snapshots: Snapshots
) -> None:
    assert paths(snapshots, Files(folder)) == {"adapter.py": True, "data/rows.txt": False, "providers/p.yaml": False}


def test_links_are_followed_once_and_what_is_no_file_is_passed_over(folder: Path, snapshots: Snapshots) -> None:
    (folder / "again").symlink_to(folder)
    (folder / "row").symlink_to(folder / "data" / "rows.txt")
    (folder / "nothing").symlink_to("/nonexistent")
    os.mkfifo(folder / "pipe")
    assert set(paths(snapshots, Files(folder))) == {"adapter.py", "data/rows.txt", "providers/p.yaml", "row"}


def test_the_same_files_are_the_same_snapshot_and_a_changed_one_another(folder: Path, snapshots: Snapshots) -> None:
    before = snapshots.take(Files(folder))
    assert snapshots.take(Files(folder)) == before
    (folder / "adapter.py").write_text("adapter.qy")
    assert snapshots.take(Files(folder))[0] != before[0]


def test_a_blob_that_has_been_swept_away_is_made_again(folder: Path, snapshots: Snapshots) -> None:
    digest, blobs = snapshots.take(Files(folder))
    for blob in blobs:
        snapshots.blobs.path(blob).unlink()
    assert snapshots.take(Files(folder)) == (digest, blobs)
    assert all(snapshots.blobs.path(blob).exists() for blob in blobs)


@pytest.mark.parametrize("limits", [Limits(files=2), Limits(size=20)])
def test_a_folder_that_is_too_large_is_refused(folder: Path, tmp_path: Path, limits: Limits) -> None:
    with pytest.raises(SnapshotTooLarge, match=str(folder)):
        Snapshots(BlobStore(tmp_path / "blobs"), limits).take(Files(folder))


def test_files_outside_of_the_folder_keep_their_place_beside_it(tmp_path: Path) -> None:
    tasks, shared = tmp_path / "a" / "tasks", tmp_path / "a" / "shared" / "x.yaml"
    assert common_root(tasks, [tasks / "t.yaml"]) == Files(tasks, "", ("t.yaml",))
    found = common_root(tasks, [tasks / "t.yaml", shared])
    assert found == Files(tmp_path / "a", "tasks", ("shared/x.yaml", "tasks/t.yaml"))
