"""Finds the processes of an attempt, or of a worker, by the marker in their environment, and ends them.

A child inherits the marker even when it starts a session of its own and its parent dies. What has thrown it away is found by
its guard (see `launch`); this is for processes that have none.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable

GUARD = "ASSAY_GUARD"
"""In the environment of guards and of their spawner, and of nobody else."""

_LOOKS = 50
_LOOK_S = 0.02
_GUARDS_S = 3.0
"""How long guards whose worker is gone have for ending what they guard: they alone know all of it."""


async def end(marker: str) -> set[int]:
    """Kill every process with `marker` (`NAME=value`) and every one below it; return what could not be ended."""
    victims: set[int] = set()
    for _ in range(_LOOKS):
        found = marked(marker)
        if not found and not victims:
            return set()
        victims = alive(_with_descendants(found) | victims)
        if not victims:
            return set()
        _kill(victims)
        await asyncio.sleep(_LOOK_S)
    return alive(victims)


def end_worker(marker: str) -> int:
    """Kill what is left of a worker that is gone, all that has `marker`; return how many that were. Blocks, for seconds."""
    own, deadline, ended = os.getpid(), time.monotonic() + _GUARDS_S, set[int]()
    while victims := alive(marked(marker)) - {own}:
        guards = {pid for pid in victims if time.monotonic() < deadline and _environment(pid).find(GUARD.encode()) >= 0}
        ended |= victims - guards
        _kill(victims - guards)
        time.sleep(_LOOK_S)
        if time.monotonic() > deadline + _GUARDS_S:
            break
    return len(ended)


def marked(marker: str) -> set[int]:
    """Return the processes whose environment holds `marker`, this one excepted."""
    wanted = b"\0" + marker.encode() + b"\0"
    return {pid for pid in _pids() if wanted in b"\0" + _environment(pid) + b"\0"} - {os.getpid()}


def alive(pids: Iterable[int]) -> set[int]:
    """Return those of `pids` that still run (a zombie does not)."""
    return {pid for pid in pids if _stat(pid)[0] not in ("", "Z", "X")}


def _with_descendants(roots: set[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid in _pids():
        children.setdefault(_stat(pid)[1], []).append(pid)
    found, waiting = set[int](), list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found - {os.getpid()}


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _environment(pid: int) -> bytes:
    return _read(f"/proc/{pid}/environ")


def _stat(pid: int) -> tuple[str, int]:
    """Return the state and the parent of a process, empty and 0 if it is gone."""
    # The second field is the command in parentheses and may hold anything, so count from its end.
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return (fields[0].decode(), int(fields[1])) if fields else ("", 0)


def _read(path: str) -> bytes:
    """Return what a file of the kernel's says, empty where there is none or it is not ours to read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        chunks = []
        while chunk := os.read(descriptor, 1 << 16):
            chunks.append(chunk)
        return b"".join(chunks)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
