"""Process trees on Linux: finds every process of an attempt, and ends them all.

A process belongs to an attempt if it descends from the attempt's first process (see `launch`), or carries the attempt's
marker in its environment, which a child inherits even when it starts a session of its own and its parent dies.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")
_ROOT_SPARED = 25
"""Looks, 20 ms apart, that the root of a tree has for ending by itself."""


def marked(marker: str) -> set[int]:
    """Return the processes whose environment holds `marker` (`NAME=value`), this one excepted."""
    wanted, found = marker.encode(), set()
    for pid in _pids():
        try:
            environment = (_PROC / str(pid) / "environ").read_bytes()
        except OSError:
            continue
        if wanted in environment.split(b"\0"):
            found.add(pid)
    return found - {os.getpid()}


def descendants(roots: Iterable[int]) -> set[int]:
    """Return `roots` and every process below them."""
    children: dict[int, list[int]] = {}
    for pid in _pids():
        parent = _parent(pid)
        if parent is not None:
            children.setdefault(parent, []).append(pid)
    found, waiting = set(), list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def alive(pids: Iterable[int]) -> set[int]:
    """Return those of `pids` that still run (a zombie does not)."""
    return {pid for pid in pids if _state(pid) not in ("", "Z", "X")}


async def end(root: int | None, marker: str, *, grace_s: float) -> set[int]:
    """End a tree: SIGTERM, up to `grace_s` seconds, SIGKILL until none is left. Return what could not be ended."""
    victims = _tree(root, marker)
    _send(victims, signal.SIGTERM)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + grace_s
    while loop.time() < deadline and alive(victims):  # noqa: ASYNC110 - the kernel sends no event for others' children
        await asyncio.sleep(0.02)
    for tries in range(50):
        victims = _tree(root, marker) | alive(victims)
        if not victims:
            return set()
        # Orphans of a tree fall to its root, which ends them and then itself; it is killed only if it does not.
        _send(victims - {root} if tries < _ROOT_SPARED else victims, signal.SIGKILL)
        await asyncio.sleep(0.02)
    return alive(victims)


def kill_marked(marker: str) -> int:
    """Kill every process with `marker` at once; return how many there were."""
    victims = alive(marked(marker))
    _send(victims, signal.SIGKILL)
    return len(victims)


def _tree(root: int | None, marker: str) -> set[int]:
    roots = marked(marker) | ({root} if root else set())
    return alive(descendants(roots) - {os.getpid()})


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir(_PROC) if entry.isdigit()]


def _stat(pid: int) -> list[str]:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return []
    # The second field is the command in parentheses and may hold anything, so count from its end.
    return text[text.rfind(")") + 2 :].split()


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _state(pid: int) -> str:
    fields = _stat(pid)
    return fields[0] if fields else ""
