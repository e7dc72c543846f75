"""The folders of attempts: `<runs>/<run>/<attempt>`. They go with their attempt, unless they are to be looked at later."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Container
from pathlib import Path


def leave(folder: Path, keep_s: float) -> None:
    """Remove the folder of an attempt that has ended, or note when it ended so that `sweep` removes it in time."""
    if not keep_s:
        _remove(folder)
        return
    shutil.rmtree(folder / "model-auth", ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):  # it ended before it had one
        os.utime(folder)


def sweep(runs_dir: Path, keep_s: float, busy: Container[Path] = ()) -> None:
    """Remove the folders below `runs_dir` that were left more than `keep_s` seconds ago, except those that are `busy`."""
    for folder in runs_dir.glob("*/*"):
        with contextlib.suppress(FileNotFoundError):  # its attempt was quicker
            if folder not in busy and time.time() - folder.stat().st_mtime >= keep_s:
                _remove(folder)


def _remove(folder: Path) -> None:
    """Remove an attempt's folder, and the run's unless another attempt of it is there."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
