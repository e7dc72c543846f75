"""Writes with group commit, as SQLite's writer does: what arrived during the last commit is one transaction.

Should an operation of a group be undone, or several that are carried out together, the group is undone and run again with a
savepoint around each operation.

Two servers may want the same rows, each in another order, or make the same thing twice. PostgreSQL then ends one of the
transactions, and its operations are repeated one by one; their steps are generators made anew each time, so nothing of the
first try is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import asyncpg

from assay.model.errors import AssayError, StoreUnavailable
from assay.store.base import News, Operation, Signal, Steps
from assay.store.calls import Call, Calls, deliver
from assay.store.changes import Changes
from assay.store.grouping import Unit, each_alone, units
from assay.store.postgres.announcements import Announcements
from assay.store.postgres.connection import CONFLICTS, FAILURES, explain
from assay.store.postgres.drive import drive

log = logging.getLogger(__name__)

_GROUP = 256
_TRIES = 5
_STATEMENT_ERRORS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.SyntaxOrAccessError,
    asyncpg.CardinalityViolationError,
    asyncpg.ProgramLimitExceededError,
)
"""What one operation's own statement is to blame for; the others of its group go on."""


_UNWRITTEN = "could not be written"


class _UndoGroup(Exception):
    """An operation of a group was refused, and there was no savepoint to go back to."""


class _Telling(NamedTuple):
    """A unit that is a whole group: what it has to tell the other servers is sent with the last that it writes."""

    unit: Unit
    announcements: Announcements
    news: list[News]
    """What it has to say; filled while its steps are carried out."""
    messages: list[str]
    """Filled once they have been."""

    def steps(self) -> Steps[list[Any | AssayError]]:
        result = yield from self.unit.steps()
        self.messages.extend(self.announcements.messages(_topics(self.news)))
        if (statement := self.announcements.statement(self.messages)) is not None:
            yield statement
        return result


class Writer:
    """Takes operations and commits them in groups, over connections of `pool`."""

    def __init__(
        self, pool: asyncpg.Pool[Any], announcements: Announcements, changes: Changes, *, arrays: bool = True
    ) -> None:
        """`arrays`: whether the connections keep statements that are prepared, so that one can be executed for many rows."""
        self._pool = pool
        self._arrays = arrays
        self._announcements, self._changes = announcements, changes
        self._calls = Calls()
        self.failure: AssayError | None = None
        """What the last group failed of; None once one has been written."""
        self._task = asyncio.create_task(self._work())

    def submit(self, operations: Sequence[Operation[Any]], urgent: bool) -> asyncio.Future[list[Any]]:
        """Queue operations; the future gets a result or an AssayError for each, after the commit."""
        return self._calls.submit(operations, urgent)

    async def close(self) -> None:
        """Write what has been submitted, and take no more."""
        self._calls.close()
        await self._task

    async def _work(self) -> None:
        while group := await self._calls.group(_GROUP):
            deliver(group, await self._commit(group))

    async def _commit(self, group: list[Call]) -> list[list[Any]]:
        """Commit a group; return one list of results for each call."""
        calls = [call.operations for call in group]
        try:
            try:
                results = await self._together(units(calls))
            except _UndoGroup:
                results = await self._together(each_alone(calls), savepoints=True)
        except CONFLICTS:
            results = [await self._alone(unit.operations[0]) for unit in each_alone(calls)]
        remaining = iter(results)
        return [list(islice(remaining, len(operations))) for operations in calls]

    async def _alone(self, operation: Operation[Any]) -> Any:
        for attempt in range(_TRIES):
            try:
                return (await self._together([Unit([operation], [0])]))[0]
            except asyncpg.UniqueViolationError:
                if attempt:  # what is there now was there before it began
                    return Unit([operation], [0]).broken(_UNWRITTEN)
            except CONFLICTS:
                await asyncio.sleep(0.01 * 2**attempt)
        return StoreUnavailable(error="other servers hold the same rows", remedy="wait a moment")

    async def _together(self, every: list[Unit], *, savepoints: bool = False) -> list[Any]:
        """Run units in one transaction; return the answer of each operation, in the order of their places.

        Raises CONFLICTS and _UndoGroup, with nothing written.
        """
        news: list[News] = []
        count = sum(len(unit.places) for unit in every)
        answers: list[Any] = [None] * count
        messages: list[str] = []
        try:
            async with self._pool.acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    for unit in every:
                        telling = messages if len(every) == 1 else None
                        result = await self._run(connection, unit, news, telling, in_savepoint=savepoints)
                        if isinstance(result, AssayError):
                            if count > 1 and not savepoints:
                                raise _UndoGroup
                            result = [result]
                        for place, answer in zip(unit.places, result, strict=True):
                            answers[place] = answer
                    if count == 1 and isinstance(answers[0], AssayError):
                        await transaction.rollback()
                        return answers
                    if len(every) > 1:
                        messages = self._announcements.messages(_topics(news))
                        await self._announcements.send(connection, messages)
                    await transaction.commit()
                except BaseException:
                    with contextlib.suppress(*FAILURES):
                        await transaction.rollback()
                    raise
        except (*CONFLICTS, _UndoGroup):
            raise
        except FAILURES as error:
            log.error("a group of %d operations was not written: %s", count, type(error).__name__)
            self.failure = explain(error)
            return [self.failure] * count
        except Exception:  # the writer must outlive whatever it is
            log.exception("a group of %d operations was not written", count)
            self.failure = AssayError(error="the change could not be written")
            return [self.failure] * count
        self.failure = None
        if news:
            self._announcements.announce(_topics(news), messages)
            self._changes.tell([one for one in news if not isinstance(one, Signal)])
        return answers

    async def _run(
        self, connection: Any, unit: Unit, news: list[News], messages: list[str] | None, *, in_savepoint: bool
    ) -> list[Any] | AssayError:
        """Run a unit; return its results, or the error for which it is to be (in a savepoint: was) undone.

        Appends its news; and what it has told the other servers to `messages`, where those are not None.
        """
        own: list[News] = []
        operation = unit if messages is None else _Telling(unit, self._announcements, own, messages)
        savepoint = connection.transaction() if in_savepoint else None
        if savepoint:
            await savepoint.start()
        result: list[Any] | AssayError
        try:
            result = await drive(connection, operation, own, arrays=self._arrays)
        except AssayError as refusal:
            result = refusal
        except CONFLICTS:
            raise
        except _STATEMENT_ERRORS:
            result = unit.broken(_UNWRITTEN)
        except FAILURES:
            raise
        except Exception:
            result = unit.broken("failed")
        else:
            news += own
            if savepoint:
                await savepoint.commit()
            return result
        if savepoint:
            await savepoint.rollback()
        return result


def _topics(news: Iterable[News]) -> set[str]:
    return {one.topic for one in news if isinstance(one, Signal)}
