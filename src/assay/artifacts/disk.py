"""What a disk refuses, in words for a user."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from assay.model.errors import FolderUnavailable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Write somewhere in a folder that the server keeps. Raises FolderUnavailable, and the same may go through later."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise FolderUnavailable(
                error="the disk is full", remedy=f"free space on the disk that holds {folder}"
            ) from error
        raise FolderUnavailable(error=error.strerror or "an error", remedy=f"check the disk that holds {folder}") from error
