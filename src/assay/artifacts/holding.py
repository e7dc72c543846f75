"""Keeps the files of jobs in place while somebody copies them.

A backup takes the database first and the files that it names afterwards. What is deleted in between would be missing, so
whoever copies holds the files of a data folder, and whoever deletes leaves them to the next sweep as long as they are held.
The hold is a lock on a file in the folder: it goes with the process that has it, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_NAME = "files.lock"


@contextlib.contextmanager
def held(data: Path) -> Iterator[None]:
    """Keep every file of a data folder until the end of the block; wait for deletions that are under way."""
    with _lock(data, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def deleting(data: Path) -> Iterator[bool]:
    """Yield whether files of a data folder may be deleted in this block: False while somebody holds them."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_lock(data, fcntl.LOCK_SH | fcntl.LOCK_NB))
            free = True
        except BlockingIOError:
            free = False
        yield free


@contextlib.contextmanager
def _lock(data: Path, how: int) -> Iterator[None]:
    descriptor = os.open(data / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
