"""Drives an operation's steps on a SQLite connection."""

from __future__ import annotations

import sqlite3
from typing import TypeVar

from assay.store.base import Operation, Row, Signal
from assay.store.statements import statements

T = TypeVar("T")


def drive(connection: sqlite3.Connection, operation: Operation[T], topics: list[str]) -> T:
    """Execute the statements of `operation` one by one; append the topics it signals; return its result."""
    named = statements()
    steps = operation.steps()
    rows: list[Row] = []
    try:
        step = next(steps)
        while True:
            if isinstance(step, Signal):
                topics.append(step.topic)
                rows = []
            else:
                rows = connection.execute(step.sql or named[step.name], step.parameters).fetchall()
            step = steps.send(rows)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
