"""Drives an operation's steps on a SQLite connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from typing import TypeVar

from assay.store.base import Each, News, NotChanged, Operation, Row, Statement, TooManyStatements
from assay.store.sqlite.several import execute_each
from assay.store.statements import statements

T = TypeVar("T")


def paced(connection: sqlite3.Connection, operation: Operation[T], news: list[News]) -> Generator[None, None, T]:
    """Execute the statements of `operation`, pausing after each; append its news; return its result."""
    named = statements()
    steps = operation.steps()
    rows: list[Row] = []
    try:
        step = next(steps)
        while True:
            if isinstance(step, Statement):
                sql = step.sql or named[step.name]
                if step.many is None:
                    rows = connection.execute(sql, step.parameters).fetchall()
                elif step.each is Each.ASKS:
                    rows = [row for one in step.many for row in connection.execute(sql, one).fetchall()]
                else:
                    rows = []
                    changed = execute_each(connection, sql, step.many)
                    if step.each is Each.CHANGES and changed != len(step.many):
                        raise NotChanged(step.name)
                yield
            else:
                news += step
                rows = []
            step = steps.send(rows)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def drive(connection: sqlite3.Connection, query: Operation[T]) -> T:
    """Execute the statements of a query; return its result."""
    steps = paced(connection, query, [])
    try:
        while True:
            next(steps)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def ask_once(connection: sqlite3.Connection, query: Operation[T]) -> T:
    """Execute the one statement of a query; return its result. Raises TooManyStatements where there are more."""
    steps = query.steps()
    try:
        step = next(steps)
        if not isinstance(step, Statement) or step.many is not None:
            raise TooManyStatements
        steps.send(connection.execute(step.sql or statements()[step.name], step.parameters).fetchall())
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise TooManyStatements
