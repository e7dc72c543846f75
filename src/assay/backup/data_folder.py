"""Who has a data folder: servers, which may share one, or a restore, which has it for itself.

The database says nothing of that: it may lie elsewhere, and its name may be another than the one that is restored. The lock
goes with the process that has it, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from assay.model.errors import RestoreRefused, StoreUnusable

LOCK: Final = "server.lock"


@contextlib.contextmanager
def served(data: Path) -> Iterator[None]:
    """Keep restores out of a data folder. Raises StoreUnusable while there is one, or where nothing can be locked."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_locked(data, fcntl.LOCK_SH))
        except BlockingIOError as error:
            remedy = "Start the server once that has ended."
            raise StoreUnusable(path=data, error="a backup is being restored into it", remedy=remedy) from error
        except OSError as error:
            remedy = f"Give this user write access to {data / LOCK}, or choose another folder with --data."
            raise StoreUnusable(path=data, error=error.strerror or "it cannot be locked", remedy=remedy) from error
        yield


@contextlib.contextmanager
def restored(data: Path) -> Iterator[None]:
    """Keep servers and other restores out of a data folder. Raises RestoreRefused while it has any, OSError."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_locked(data, fcntl.LOCK_EX))
        except BlockingIOError as error:
            remedy = "Stop the other `assay serve`, or name another folder with --data."
            raise RestoreRefused(problem=f"{data}: another Assay server is using it", remedy=remedy) from error
        yield


@contextlib.contextmanager
def _locked(data: Path, how: int) -> Iterator[None]:
    descriptor = os.open(data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
