"""Drives an operation's steps over a PostgreSQL connection."""

from __future__ import annotations

from typing import Any, TypeVar

from assay.store.base import Each, News, Operation, Row, Statement, TooManyStatements
from assay.store.postgres.pending import Pending
from assay.store.postgres.several import execute_each
from assay.store.postgres.translate import arguments, translate
from assay.store.statements import statements

T = TypeVar("T")


async def drive(
    connection: Any, operation: Operation[T], news: list[News], *, single: bool = False, arrays: bool = False
) -> T:
    """Execute the statements of `operation`, all of them before this returns; append its news; return its result.

    `single`: raise TooManyStatements before a second one. `arrays`: execute one for many sets of parameters at once, and
    several together, for which the connection must keep statements that are prepared.
    """
    named = statements("postgres")
    steps = operation.steps()
    pending = Pending(connection) if arrays else None
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
                rows = await _execute(connection, pending, step, sql, names)
            else:
                news += step
                rows = []
            step = steps.send(rows)
    except StopIteration as stop:
        result = stop.value
    if pending:
        await pending.send()
    return result  # type: ignore[no-any-return]


async def _execute(connection: Any, pending: Pending | None, step: Statement, sql: str, names: tuple[str, ...]) -> list[Row]:
    """Execute a statement, or let it wait if it gives no rows; return its rows."""
    if step.many is None:
        if pending:
            await pending.send_before(sql)
        return await connection.fetch(sql, *arguments(names, step.parameters))  # type: ignore[no-any-return]
    every = [arguments(names, one) for one in step.many]
    if pending:
        if step.each is not Each.ASKS and await pending.put(step, sql, every):
            return []
        await pending.send_before(sql)
    return await execute_each(connection, step.name, sql, every, step.each, arrays=pending is not None)
