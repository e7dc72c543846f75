"""The clock of one process, put forward and back while it runs.

Only the time of day jumps. The monotonic clock goes on, as it does when an administrator or NTP sets a machine's clock.
"""

from __future__ import annotations

import functools
import mmap
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")
_SECONDS = struct.Struct("q")


@functools.cache
def _library() -> Path:
    """Return the library that lies about the time, built for this process and whatever it starts."""
    made = Path(tempfile.mkdtemp(prefix="assay-clock-")) / "clock.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(made), str(_SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"clock jumps need a C compiler (Debian: gcc, libc6-dev): {done.stderr}"
    return made


class Clock:
    """A clock that is right until it is told to jump. Processes that were started with its `environment` follow it."""

    def __init__(self, file: Path) -> None:
        file.write_bytes(_SECONDS.pack(0))
        with file.open("r+b") as opened:
            self._seconds = mmap.mmap(opened.fileno(), _SECONDS.size)
        self.environment: Mapping[str, str] = {"LD_PRELOAD": str(_library()), "CHAOS_CLOCK": str(file)}
        """What a process needs in its environment."""

    def jump(self, seconds: int) -> None:
        """Put the clock so far from the right time."""
        self._seconds[:] = _SECONDS.pack(seconds)
