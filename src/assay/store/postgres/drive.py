"""Drives an operation's steps over a PostgreSQL connection."""

from __future__ import annotations

from typing import Any, TypeVar

from assay.store.base import Operation, Row, Signal
from assay.store.postgres.translate import arguments, translate
from assay.store.statements import statements

T = TypeVar("T")


async def drive(connection: Any, operation: Operation[T], topics: list[str]) -> T:
    """Execute the statements of `operation` one by one; append the topics it signals; return its result."""
    named = statements("postgres")
    steps = operation.steps()
    rows: list[Row] = []
    try:
        step = next(steps)
        while True:
            if isinstance(step, Signal):
                topics.append(step.topic)
                rows = []
            else:
                sql, names = translate(step.sql or named[step.name])
                rows = await connection.fetch(sql, *arguments(names, step.parameters))
            step = steps.send(rows)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
