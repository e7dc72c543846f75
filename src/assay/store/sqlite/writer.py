"""The writer: the only one that writes, with group commit.

It takes everything that arrived during the last commit, runs it unit by unit (`store.grouping`), commits once and only then
answers. A refused operation is undone alone: most are refused before they have written anything; should one have, or should
several that are carried out together go wrong, the group is undone and run again with a SAVEPOINT around each operation.
When the database itself fails, nothing of the group was written and every caller is told.

Statements take microseconds and are executed on the event loop, a short while at a time: in a thread beside it each would
wait for the interpreter's lock, which costs more than the statement. What waits for the disk, the COMMIT, has a thread, but
for disks that are quicker than the way there and back (`Pace`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from assay.model.errors import AssayError
from assay.store.base import News, Operation, Signal
from assay.store.calls import Call, Calls, deliver
from assay.store.changes import Changes
from assay.store.grouping import Unit, each_alone, units
from assay.store.signals import LocalSignals
from assay.store.sqlite.checkpoints import Checkpoints
from assay.store.sqlite.connection import explain
from assay.store.sqlite.drive import paced
from assay.store.sqlite.pace import Pace

log = logging.getLogger(__name__)

_GROUP = 512
"""Most calls in one transaction: bounds how long the first of them waits."""

_SLICE = 0.002
"""Seconds after which the writer lets the event loop do something else."""


class _UndoGroup(Exception):
    """An operation was refused after it had written something, and there was no savepoint to go back to."""


class Writer:
    """Owns the writing connection. Those who wait for `signals` or `changes` hear of each commit on the loop."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        checkpoints: Checkpoints,
        path: Path,
        signals: LocalSignals,
        changes: Changes,
    ) -> None:
        self._connection, self._checkpoints = connection, checkpoints
        self._path = path
        self._signals, self._changes = signals, changes
        self._calls = Calls()
        self._yield_at = 0.0
        self.commits = 0
        """Commits whose callers have been answered."""
        self.failure: AssayError | None = None
        """What the last group failed of; None once one has been written."""
        self._loop = asyncio.get_running_loop()
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="assay-commit")
        self._pace = Pace()
        self._task = self._loop.create_task(self._work(), name="assay-writer")

    @property
    def busy(self) -> bool:
        """Whether a transaction is open."""
        return self._connection.in_transaction

    def submit(self, operations: Sequence[Operation[Any]], urgent: bool) -> asyncio.Future[list[Any]]:
        """Queue operations; the future gets a result or an AssayError for each, after the commit."""
        return self._calls.submit(operations, urgent)

    async def stop(self) -> None:
        """Write what has been submitted, and take no more."""
        self._calls.close()
        await self._task
        self._disk.shutdown()
        await self._checkpoints.stop()

    def close(self) -> None:
        """Close the connection of a stopped writer. The last one to be closed leaves everything in the main file."""
        self._connection.close()

    async def _work(self) -> None:
        while group := await self._calls.group(_GROUP):
            answers, news = await self._write(group)
            self._deliver(group, answers, news)
            await self._checkpoints.after_commit()

    async def _write(self, group: list[Call]) -> tuple[list[list[Any]], list[News]]:
        """Run and commit a group; return one list of results for each call, and what there is to tell."""
        try:
            try:
                answers, news = await self._run_all(group, savepoints=False)
            except _UndoGroup:
                self._connection.execute("ROLLBACK")
                answers, news = await self._run_all(group, savepoints=True)
            await self._commit()
        except sqlite3.Error as error:
            log.error("a group of %d calls was not written: %s", len(group), error)
            self._undo()
            self.failure = problem = explain(error, self._path)
            return [[problem] * len(call.operations) for call in group], []
        self.failure = None
        return answers, news

    async def _commit(self) -> None:
        began = perf_counter()
        if self._pace.quick:
            self._connection.execute("COMMIT")
            self._pace.note(perf_counter() - began)
        else:
            self._pace.note(await self._loop.run_in_executor(self._disk, self._timed_commit))

    def _timed_commit(self) -> float:
        """Commit, in the thread; return the seconds that the disk took."""
        began = perf_counter()
        self._connection.execute("COMMIT")
        return perf_counter() - began

    async def _run_all(self, group: list[Call], *, savepoints: bool) -> tuple[list[list[Any]], list[News]]:
        """Run a group in a new transaction; return results and news. Raises _UndoGroup, only without savepoints."""
        calls = [call.operations for call in group]
        answers: list[Any] = [None] * sum(map(len, calls))
        news: list[News] = []
        self._yield_at = perf_counter() + _SLICE
        self._connection.execute("BEGIN IMMEDIATE")
        run = self._run_in_savepoint if savepoints else self._run
        for unit in each_alone(calls) if savepoints else units(calls):
            for place, answer in zip(unit.places, await run(unit, news), strict=True):
                answers[place] = answer
        every = iter(answers)
        return [list(islice(every, len(operations))) for operations in calls], news

    async def _run(self, unit: Unit, news: list[News]) -> list[Any]:
        """Run a unit; return the result of each operation or the error that refused it. Raises _UndoGroup."""
        written = self._connection.total_changes
        own: list[News] = []
        result = await self._attempt(unit, own)
        if not isinstance(result, AssayError):
            news += own
            return result
        if len(unit.places) > 1 or self._connection.total_changes != written:
            raise _UndoGroup
        return [result]

    async def _run_in_savepoint(self, unit: Unit, news: list[News]) -> list[Any]:
        """Run one operation in a savepoint of its own; return its result or the error that undid it."""
        execute = self._connection.execute
        execute("SAVEPOINT operation")
        own: list[News] = []
        result = await self._attempt(unit, own)
        if isinstance(result, AssayError):
            execute("ROLLBACK TO operation")
            result = [result]
        else:
            news += own
        execute("RELEASE operation")
        return result

    async def _attempt(self, unit: Unit, news: list[News]) -> list[Any] | AssayError:
        """Carry out a unit; return its results, or the error that refused it as a whole."""
        try:
            return await self._drive(unit, news)
        except AssayError as refusal:
            return refusal
        except sqlite3.Error as error:
            if not self._connection.in_transaction or _is_environmental(error):
                raise
            return unit.broken("could not be written")
        except Exception:
            return unit.broken("failed")

    async def _drive(self, unit: Unit, news: list[News]) -> list[Any]:
        """Execute a unit's statements, and let others use the event loop between two of them when it is time."""
        steps = paced(self._connection, unit, news)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            if perf_counter() > self._yield_at:
                await asyncio.sleep(0)
                self._yield_at = perf_counter() + _SLICE

    def _undo(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            log.exception("the transaction could not be rolled back")

    def _deliver(self, group: list[Call], answers: list[list[Any]], news: list[News]) -> None:
        self.commits += 1
        deliver(group, answers)
        if news:
            self._signals.announce({one.topic for one in news if isinstance(one, Signal)})
            self._changes.tell([one for one in news if not isinstance(one, Signal)])


def _is_environmental(error: sqlite3.Error) -> bool:
    """Say whether an error is the disk's or the file's, rather than one statement's."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
    )
