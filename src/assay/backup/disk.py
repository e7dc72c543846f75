"""Files that only their owner may read, and what a disk refuses, in words."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from assay.model.errors import AssayError


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Let nobody but their owner read what is made in the block."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def explained(target: Path, kind: type[AssayError]) -> Iterator[None]:
    """Turn what a disk refuses into an error of a kind, which has a problem and a remedy."""
    try:
        yield
    except OSError as error:
        where = error.filename or target
        problem, remedy = f"{where}: {error.strerror or type(error).__name__}", "Check the disk, and try again."
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            problem, remedy = f"the disk that holds {target} is full", "Free space there, or name another place."
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            problem = f"{where} cannot be used: {error.strerror}"
            remedy = "Run it as the user of the server, and let that user write there."
        raise kind(problem=problem, remedy=remedy) from error
