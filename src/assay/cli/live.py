"""Progress of a job on stderr: moving bars on a terminal, a line for each thing that happens elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from assay.cli import results, text
from assay.cli.exits import say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

TENTH = 10
"""Without a terminal a benchmark tells every tenth part."""


class Display(Protocol):
    """Shows a job as it changes."""

    def update(self, job: results.Job) -> None:
        """Show the job as it is now."""

    def note(self, line: str) -> None:
        """Show a remark, once for each text in a row."""


@contextmanager
def display(plain: bool = False) -> Iterator[Display]:
    """Give the display that suits stderr."""
    if plain or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bars(progress)


class Lines:
    """A line when a benchmark changes its state, and at every tenth part of it."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[str, int]] = {}
        self._note = ""

    def update(self, job: results.Job) -> None:
        """Print what is new."""
        self._note = ""
        rows = results.statuses(job)
        for index, name in enumerate(results.labels(job)):
            row = rows.get(index, {})
            how, done, total = _how(row), *_progress(row)
            part = done * TENTH // total if total else 0
            if self._told.get(index, ("", -1)) == (how, part):
                continue
            self._told[index] = (how, part)
            say(text.printable(f"{name}: {how}" + (f", {done}/{total}" if total else "")))

    def note(self, line: str) -> None:
        """Print a remark."""
        if line != self._note:
            self._note = line
            say(line)


class Bars:
    """A bar for each benchmark, drawn by rich."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[int, TaskID] = {}
        self._totals: dict[int, int] = {}
        self._note = ""

    def update(self, job: results.Job) -> None:
        """Move the bars."""
        self._note = ""
        rows = results.statuses(job)
        for index, name in enumerate(results.labels(job)):
            row = rows.get(index, {})
            how, done, total = _how(row), *_progress(row)
            total = self._totals[index] = total or self._totals.get(index, 0)
            over = how in ("completed", "failed", "cancelled")
            if index not in self._tasks:
                self._tasks[index] = self._progress.add_task(
                    text.printable(name), total=total or None, start=False, state=how
                )
            task = self._tasks[index]
            if how != "pending":
                self._progress.start_task(task)
            if how == "completed":
                done = total = total or results.samples(job, index) or 1
            if over:
                self._progress.stop_task(task)
            self._progress.update(task, total=total or None, completed=done if total else None, state=text.printable(how))

    def note(self, line: str) -> None:
        """Print a remark above the bars."""
        if line != self._note:
            self._note = line
            self._progress.console.print(line, style="yellow", markup=False)


def _how(row: Any) -> str:
    return str(row.get("status", "pending"))


def _progress(row: Any) -> tuple[int, int]:
    far = row.get("progress") or {}
    return int(far.get("done", 0)), int(far.get("total", 0))
