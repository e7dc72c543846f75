"""Drives an operation's steps over a PostgreSQL connection."""

from __future__ import annotations

from typing import Any, TypeVar

from assay.store.base import News, Operation, Row, Statement, TooManyStatements
from assay.store.postgres.translate import arguments, translate
from assay.store.statements import statements

T = TypeVar("T")


async def drive(connection: Any, operation: Operation[T], news: list[News], *, single: bool = False) -> T:
    """Execute the statements of `operation` one by one; append its news; return its result.

    `single`: raise TooManyStatements before a second one.
    """
    named = statements("postgres")
    steps = operation.steps()
    rows: list[Row] = []
    done = False
    try:
        step = next(steps)
        while True:
            if isinstance(step, Statement):
                if single and done:
                    raise TooManyStatements
                done = True
                sql, names = translate(step.sql or named[step.name])
                if step.many is None:
                    rows = await connection.fetch(sql, *arguments(names, step.parameters))
                else:
                    rows = []
                    await connection.executemany(sql, [arguments(names, one) for one in step.many])
            else:
                news.append(step)
                rows = []
            step = steps.send(rows)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
