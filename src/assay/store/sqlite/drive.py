"""Drives an operation's steps on a SQLite connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from typing import TypeVar

from assay.store.base import Operation, Row, Signal
from assay.store.statements import statements

T = TypeVar("T")


def paced(connection: sqlite3.Connection, operation: Operation[T], topics: list[str]) -> Generator[None, None, T]:
    """Execute the statements of `operation`, pausing after each; append the topics it signals; return its result."""
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
                yield
            step = steps.send(rows)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def drive(connection: sqlite3.Connection, operation: Operation[T]) -> T:
    """Execute the statements of a query; return its result."""
    steps = paced(connection, operation, [])
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
