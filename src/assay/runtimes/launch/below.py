"""The processes below this one, as the kernel tells of them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterable, Iterator

_PR_SET_CHILD_SUBREAPER = 36
_prctl = ctypes.CDLL(None).prctl


def adopt_orphans() -> None:
    """Have what is orphaned below this process become its child, in whatever session it is. Not inherited."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def woken() -> int:
    """Return a descriptor that can be read whenever a child may have ended. Replaces that of the process forked from."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    if before >= 0:
        os.close(before)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reading


def reaped() -> Iterator[tuple[int, int]]:
    """Yield number and status of each child that has ended, then (0, 0) if others have not."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            yield pid, status
            if pid == 0:
                return


def kill(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to those that are there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def children() -> set[int]:
    """Return the children of this process."""
    own = os.getpid()
    return {pid for pid, parent in _parents().items() if parent == own}


def descendants() -> set[int]:
    """Return every process below this one."""
    below: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        below.setdefault(parent, []).append(pid)
    found, waiting = set[int](), [os.getpid()]
    while waiting:
        next_ones = below.get(waiting.pop(), [])
        found.update(next_ones)
        waiting += next_ones
    return found


def _parents() -> dict[int, int]:
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as file:
                # The command, in parentheses, may hold anything: the state and the parent come after it.
                found[int(entry)] = int(file.read().rpartition(b")")[2].split()[1])
    return found
