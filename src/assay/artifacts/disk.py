"""What a disk refuses, in words for a user."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from assay.model.errors import FolderUnavailable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_full(error: OSError) -> bool:
    """Say whether something could not be written for want of room: later, or elsewhere, it may be."""
    return error.errno in _FULL


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Write somewhere in a folder that the server keeps. Raises FolderUnavailable, and the same may go through later."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise FolderUnavailable(
                error="the disk is full", remedy=f"free space on the disk that holds {folder}"
            ) from error
        raise FolderUnavailable(error=error.strerror or "an error", remedy=f"check the disk that holds {folder}") from error
