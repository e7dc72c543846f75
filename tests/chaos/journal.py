"""Writes down what was done and what was acknowledged, as it happens: in memory, and in a file for whoever looks later."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Done:
    """A fault that was done: when it began and ended, in seconds since the journal was opened."""

    text: str
    of: str
    name: str
    began: float
    ended: float


@dataclass
class Promise:
    """A job that was acknowledged, and what was acknowledged about it since. Times as in `Done`."""

    id: str
    name: str
    tenant: str
    benchmarks: list[dict[str, Any]]
    asked: float
    """When it was first asked for."""
    at: float
    """When that was acknowledged."""
    over: float | None = None
    """When it was first known to have ended, or was deleted."""
    cancelling: bool = False
    """Somebody has asked to cancel it, or one of its benchmarks, whatever the answer was."""
    cancelled: bool = False
    deleted: bool = False
    deleting: bool = False
    """Somebody has asked for its deletion, whatever the answer was."""
    reports: dict[int, tuple[float, dict[str, float]]] = field(default_factory=dict)
    """Metrics of the first completed report that was acknowledged, and when, for each benchmark reported by hand."""


class Journal:
    """The record of one campaign. Safe to use from threads."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a", buffering=1)
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self.faults: list[Done] = []
        self.violations: list[str] = []
        self.promises: dict[str, Promise] = {}
        self.counts: dict[str, int] = {}

    def now(self) -> float:
        """Return the seconds since the journal was opened."""
        return time.monotonic() - self._began

    def note(self, kind: str, **what: Any) -> None:
        """Write something down."""
        with self._lock:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self._file.write(json.dumps({"t": round(self.now(), 3), "kind": kind, **what}) + "\n")

    def violated(self, text: str) -> None:
        """Write down that something is wrong."""
        self.note("violation", text=text)
        with self._lock:
            self.violations.append(text)

    def fault(self, done: Done) -> None:
        """Write down a fault that is over."""
        self.note("fault", text=done.text, began=round(done.began, 3), ended=round(done.ended, 3))
        with self._lock:
            self.faults.append(done)

    def promise(self, made: Promise) -> None:
        """Write down that a job was acknowledged."""
        self.note("job", id=made.id, name=made.name)
        with self._lock:
            self.promises[made.id] = made

    def alive(self) -> Iterator[Promise]:
        """Yield the jobs that nobody has asked to delete."""
        with self._lock:
            kept = [one for one in self.promises.values() if not one.deleting]
        yield from kept

    def faults_after(self, at: float, slack_s: float) -> list[Done]:
        """Return the faults that were not over more than `slack_s` before `at`."""
        with self._lock:
            return [one for one in self.faults if one.ended > at - slack_s]
