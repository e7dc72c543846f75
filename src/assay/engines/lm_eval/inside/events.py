"""The control channel: what a run tells the worker, one JSON object a line.

`started`, `progress`, `warning`, then `result` or `error` as the last line, or `result` and `error` where the
numbers exist but do not count (`too_many_errors`).
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from .secrecy import Redactor

_INTERVAL_S = 0.2
"""Least time between two progress lines of a phase; the last of a phase is always written."""


class Control:
    """Writes events to the descriptor `fd`. A reader that has gone away is no error: it stops the run by
    itself.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._redactor = Redactor({})
        self._phase = ""
        self._written_at = 0.0

    def conceal(self, redactor: Redactor) -> None:
        """Redact everything from now on."""
        self._redactor = redactor

    def started(self, **facts: Any) -> None:
        """The engine is alive."""
        self._send({"type": "started", **facts})

    def progress(self, phase: str, done: int, total: int, task: str) -> None:
        """`done` of `total` samples; written about five times a second, and always at the start and end of
        a phase.
        """
        now = time.monotonic()
        if phase == self._phase and done < total and now - self._written_at < _INTERVAL_S:
            return
        self._phase, self._written_at = phase, now
        self._send({"type": "progress", "phase": phase, "done": done, "total": total, "task": task})

    def warning(self, message: str) -> None:
        """Something the user should know, though the run goes on."""
        self._send({"type": "warning", "message": message})

    def result(self, document: dict[str, Any]) -> None:
        """What the run measured."""
        self._send({"type": "result", **document})

    def error(self, code: str, message: str, *, temporary: bool = False) -> None:
        """Why the run has failed."""
        self._send({"type": "error", "code": code, "message": message, "temporary": temporary})

    def _send(self, event: dict[str, Any]) -> None:
        line = self._redactor.clean(json.dumps(event, ensure_ascii=False, allow_nan=False)) + "\n"
        rest = memoryview(line.encode("utf-8", "replace"))
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except BrokenPipeError:
            return
