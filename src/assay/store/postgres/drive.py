"""Drives an operation's steps over a PostgreSQL connection."""

from __future__ import annotations

from typing import Any, TypeVar

from assay.store.base import Each, News, NotChanged, Operation, Row, Statement, TooManyStatements
from assay.store.postgres.several import FEWEST, execute_each
from assay.store.postgres.translate import arguments, translate
from assay.store.statements import statements

T = TypeVar("T")


async def drive(
    connection: Any, operation: Operation[T], news: list[News], *, single: bool = False, arrays: bool = False
) -> T:
    """Execute the statements of `operation` one by one; append its news; return its result.

    `single`: raise TooManyStatements before a second one. `arrays`: execute one for many sets of parameters at once, for
    which the connection must keep statements that are prepared.
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
                rows = await _execute(connection, step, sql, names, arrays)
            else:
                news += step
                rows = []
            step = steps.send(rows)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def _execute(connection: Any, step: Statement, sql: str, names: tuple[str, ...], arrays: bool) -> list[Row]:
    """Execute a statement, several times in one round trip where it has several sets of parameters; return its rows."""
    if step.many is None:
        return await connection.fetch(sql, *arguments(names, step.parameters))  # type: ignore[no-any-return]
    every = [arguments(names, one) for one in step.many]
    if arrays and len(every) >= FEWEST and step.each is not Each.ASKS:
        changed = await execute_each(connection, sql, every)
        if step.each is Each.CHANGES and changed not in (None, len(every)):
            raise NotChanged(step.name)
        if changed is not None:
            return []
    if step.each is Each.WRITES:
        await connection.executemany(sql, every)
        return []
    rows: list[Row] = await connection.fetchmany(sql, every)
    if step.each is Each.ASKS:
        return rows
    if len(rows) != len(every):
        raise NotChanged(step.name)
    return []
