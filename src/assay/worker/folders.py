"""The folders of attempts: `<runs>/<run>.<attempt>`. They go with their attempt, unless they are to be looked at later."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Container
from pathlib import Path

_FEW = 24
"""So many files and folders are removed in less time than a thread takes to be woken."""


def leave_small(folder: Path, keep_s: float) -> bool:
    """Do what `leave` does if it is done in a moment; return whether it was."""
    if keep_s:
        return False
    try:
        if _emptied(folder, _FEW) < 0:
            return False
        os.rmdir(folder)
    except FileNotFoundError:  # it ended before it had one
        return True
    except OSError:
        return False
    return True


def _emptied(folder: Path | str, most: int) -> int:
    """Remove up to `most` files and folders of a folder; return how many more it could have been, less than 0: not all."""
    with os.scandir(folder) as entries:
        for entry in entries:
            most -= 1
            if most >= 0 and entry.is_dir(follow_symlinks=False):
                most = _emptied(entry.path, most)
                if most >= 0:
                    os.rmdir(entry.path)
            elif most >= 0:
                os.unlink(entry.path)
            if most < 0:
                break
    return most


def leave(folder: Path, keep_s: float) -> None:
    """Remove the folder of an attempt that has ended, or note when it ended so that `sweep` removes it in time."""
    if not keep_s:
        shutil.rmtree(folder, ignore_errors=True)
        return
    shutil.rmtree(folder / "model-auth", ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):  # it ended before it had one
        os.utime(folder)


def sweep(runs_dir: Path, keep_s: float, busy: Container[Path] = ()) -> None:
    """Remove the folders below `runs_dir` that were left more than `keep_s` seconds ago, except those that are `busy`.

    0: all others, also those that by this clock will only be left, since clocks are put back.
    """
    for folder in runs_dir.glob("*"):
        with contextlib.suppress(FileNotFoundError):  # its attempt was quicker
            if folder not in busy and (not keep_s or time.time() - folder.stat().st_mtime >= keep_s):
                shutil.rmtree(folder, ignore_errors=True)
