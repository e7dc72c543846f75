"""Writes with group commit, as SQLite's writer does: what arrived during the last commit is one transaction.

Should one operation of a group be refused, the group is undone and run again with a savepoint around each.

Two servers may want the same rows, each in another order, or make the same thing twice. PostgreSQL then ends one of the
transactions, and its operations are repeated one by one; their steps are generators made anew each time, so nothing of the
first try is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg

from assay.model.errors import AssayError, StoreUnavailable
from assay.store.base import News, Operation, Signal
from assay.store.changes import Changes
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


class _UndoGroup(Exception):
    """An operation of a group was refused, and there was no savepoint to go back to."""


class _Call(NamedTuple):
    operations: Sequence[Operation[Any]]
    answer: asyncio.Future[list[Any]]


class Writer:
    """Takes operations and commits them in groups, over connections of `pool`."""

    def __init__(self, pool: asyncpg.Pool[Any], announcements: Announcements, changes: Changes) -> None:
        self._pool = pool
        self._announcements, self._changes = announcements, changes
        self._urgent: deque[_Call] = deque()
        self._normal: deque[_Call] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self.failure: AssayError | None = None
        """What the last group failed of; None once one has been written."""
        self._task = asyncio.create_task(self._work())

    def submit(self, operations: Sequence[Operation[Any]], urgent: bool) -> asyncio.Future[list[Any]]:
        """Queue operations; the future gets a result or an AssayError for each, after the commit."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        if self._closing:
            answer.set_exception(StoreUnavailable(error="the server is stopping", remedy="wait for it to start again"))
            return answer
        (self._urgent if urgent else self._normal).append(_Call(operations, answer))
        self._arrived.set()
        return answer

    async def close(self) -> None:
        """Write what has been submitted."""
        self._closing = True
        self._arrived.set()
        await self._task

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while group := self._take():
                for call, answer in zip(group, await self._commit(group), strict=True):
                    if not call.answer.done():
                        call.answer.set_result(answer)
            if self._closing and not (self._urgent or self._normal):
                return

    def _take(self) -> list[_Call]:
        group: list[_Call] = []
        for calls in (self._urgent, self._normal):
            while calls and len(group) < _GROUP:
                group.append(calls.popleft())
        return group

    async def _commit(self, group: list[_Call]) -> list[list[Any]]:
        """Commit a group; return one list of results for each call."""
        operations = [operation for call in group for operation in call.operations]
        try:
            try:
                results = await self._together(operations, savepoints=False)
            except _UndoGroup:
                results = await self._together(operations, savepoints=True)
        except CONFLICTS:
            results = [await self._alone(operation) for operation in operations]
        remaining = iter(results)
        return [[next(remaining) for _ in call.operations] for call in group]

    async def _alone(self, operation: Operation[Any]) -> Any:
        for attempt in range(_TRIES):
            try:
                return (await self._together([operation], savepoints=False))[0]
            except asyncpg.UniqueViolationError:
                if attempt:  # what is there now was there before it began
                    return _broken(operation)
            except CONFLICTS:
                await asyncio.sleep(0.01 * 2**attempt)
        return StoreUnavailable(error="other servers hold the same rows", remedy="wait a moment")

    async def _together(self, operations: list[Operation[Any]], *, savepoints: bool) -> list[Any]:
        """Run operations in one transaction. Raises CONFLICTS and _UndoGroup, with nothing written."""
        news: list[News] = []
        try:
            async with self._pool.acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    results = []
                    for operation in operations:
                        results.append(await self._run(connection, operation, news, savepoints))
                        if isinstance(results[-1], AssayError) and not savepoints:
                            if len(operations) > 1:
                                raise _UndoGroup
                            await transaction.rollback()
                            return results
                    topics = {one.topic for one in news if isinstance(one, Signal)}
                    messages = self._announcements.messages(topics)
                    await self._announcements.send(connection, messages)
                    await transaction.commit()
                except BaseException:
                    with contextlib.suppress(*FAILURES):
                        await transaction.rollback()
                    raise
        except (*CONFLICTS, _UndoGroup):
            raise
        except FAILURES as error:
            log.error("a group of %d operations was not written: %s", len(operations), type(error).__name__)
            self.failure = explain(error)
            return [self.failure] * len(operations)
        except Exception:  # the writer must outlive whatever it is
            log.exception("a group of %d operations was not written", len(operations))
            self.failure = AssayError(error="the change could not be written")
            return [self.failure] * len(operations)
        self.failure = None
        if news:
            self._announcements.announce(topics, messages)
            self._changes.tell([one for one in news if not isinstance(one, Signal)])
        return results

    async def _run(self, connection: Any, operation: Operation[Any], news: list[News], in_savepoint: bool) -> Any:
        """Run one operation; return its result, or the error for which it is to be (in a savepoint: was) undone."""
        own: list[News] = []
        savepoint = connection.transaction() if in_savepoint else None
        if savepoint:
            await savepoint.start()
        try:
            result = await drive(connection, operation, own)
        except AssayError as refusal:
            result = refusal
        except CONFLICTS:
            raise
        except _STATEMENT_ERRORS:
            result = _broken(operation)
        except FAILURES:
            raise
        except Exception:
            log.exception("%s failed", type(operation).__name__)
            result = AssayError(error=f"{type(operation).__name__} failed")
        else:
            news += own
            if savepoint:
                await savepoint.commit()
            return result
        if savepoint:
            await savepoint.rollback()
        return result


def _broken(operation: Operation[Any]) -> AssayError:
    """Note the error in hand; return the one for the caller."""
    log.exception("%s broke a rule of the schema", type(operation).__name__)
    return AssayError(error=f"{type(operation).__name__} could not be written")
