"""Disks that fill up: a small file system in memory where one may be mounted, and a limit on the size of files anywhere."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
from pathlib import Path

_FILLER = "filler"
_BLOCK = bytes(1 << 16)
SMALL = 4096
"""Bytes that a file may have while the size of files is limited."""


class Disk:
    """A small file system on a folder. Use as a context manager."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        self.folder = folder
        self._options = f"size={mebibytes}m,mode=700"

    def __enter__(self) -> Disk:
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", self._options, "assay-chaos", str(self.folder)], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def fill(self) -> None:
        """Write until there is no room for another byte."""
        descriptor = os.open(self.folder / _FILLER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = len(_BLOCK)
            while size:
                try:
                    os.write(descriptor, _BLOCK[:size])
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2
        finally:
            os.close(descriptor)

    def free(self) -> None:
        """Give the room back."""
        (self.folder / _FILLER).unlink(missing_ok=True)


def mountable() -> bool:
    """Say whether this process may mount file systems."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0


def limit_files(pid: int, size: int | None) -> None:
    """Limit the size of files that a process writes to `size` bytes, or lift the limit."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))
