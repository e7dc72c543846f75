"""Folders of attempts: gone with their attempt, or kept for as long as the settings say."""

from __future__ import annotations

import os
import time
from pathlib import Path

from assay.worker import folders


def attempt(runs: Path, name: str, ago_s: float = 0.0) -> Path:
    """Return the folder of an attempt that ended `ago_s` seconds ago."""
    folder = runs / name
    (folder / "meta").mkdir(parents=True)
    (folder / "model-auth").mkdir()
    (folder / "meta" / "job.json").write_text("{}")
    (folder / "model-auth" / "api-key").write_text("token")
    at = time.time() - ago_s
    os.utime(folder, (at, at))
    return folder


def test_a_folder_goes_with_its_attempt(tmp_path: Path) -> None:
    first, second, third = (attempt(tmp_path, f"run.{number}") for number in (1, 2, 3))
    folders.leave(first, 0.0)
    assert (first.exists(), second.exists()) == (False, True)
    assert folders.leave_small(second, 0.0)
    assert [path.name for path in tmp_path.iterdir()] == [third.name]


def test_a_folder_that_is_not_removed_in_a_moment_or_is_kept_is_left_to_others(tmp_path: Path) -> None:
    folder, outside = attempt(tmp_path, "run.1"), tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    (folder / "link").symlink_to(outside)
    assert not folders.leave_small(folder, 3600.0)
    assert (folder / "meta" / "job.json").exists()
    for number in range(100):
        (folder / f"file-{number}").touch()
    assert not folders.leave_small(folder, 0.0)
    folders.leave(folder, 0.0)
    assert not folder.exists()
    small = attempt(tmp_path, "run.2")
    (small / "link").symlink_to(outside)
    assert folders.leave_small(small, 0.0)
    assert (outside / "file").read_text() == "precious"


def test_a_kept_folder_counts_from_the_end_of_its_attempt_and_holds_no_token(tmp_path: Path) -> None:
    folder = attempt(tmp_path, "run.1", ago_s=7200)
    folders.leave(folder, 3600.0)
    folders.sweep(tmp_path, 3600.0)
    assert sorted(path.name for path in folder.iterdir()) == ["meta"]


def test_a_worker_that_keeps_nothing_removes_what_is_from_the_future_of_a_clock_that_was_put_back(tmp_path: Path) -> None:
    (tmp_path / "run.1").mkdir()
    ahead = time.time() + 3 * 3600
    os.utime(tmp_path / "run.1", (ahead, ahead))
    folders.sweep(tmp_path, 3600.0)
    assert [path.name for path in tmp_path.iterdir()] == ["run.1"]
    folders.sweep(tmp_path, 0.0)
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_removes_what_was_left_long_ago_and_nobody_works_in(tmp_path: Path) -> None:
    old, busy, young = attempt(tmp_path, "a.1", 7200), attempt(tmp_path, "b.1", 7200), attempt(tmp_path, "c.1", 60)
    folders.sweep(tmp_path, 3600.0, {busy})
    assert [folder.exists() for folder in (old, busy, young)] == [False, True, True]
    folders.sweep(tmp_path, 0.0)
    assert list(tmp_path.iterdir()) == []


def test_an_attempt_that_ended_before_it_had_a_folder_leaves_none(tmp_path: Path) -> None:
    for keep_s in (0.0, 3600.0):
        folders.leave(tmp_path / "run.1", keep_s)
    assert folders.leave_small(tmp_path / "run.1", 0.0)
    folders.sweep(tmp_path / "nothing", 3600.0)
