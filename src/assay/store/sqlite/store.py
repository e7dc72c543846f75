"""The store on a SQLite file."""

from __future__ import annotations

import asyncio
import fcntl
import os
import queue
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from assay.model.errors import AssayError, StoreUnusable
from assay.store.base import Connections, Operation, TooManyStatements
from assay.store.changes import Changes
from assay.store.history import LastEvent
from assay.store.signals import LocalSignals
from assay.store.sqlite.checkpoints import Checkpoints
from assay.store.sqlite.connection import connect, explain
from assay.store.sqlite.drive import ask_once, drive
from assay.store.sqlite.migrations import migrate
from assay.store.sqlite.writer import Writer

T = TypeVar("T")

_READERS = 2


class SqliteStore:
    """One process owns the file; a lock beside it keeps a second server away."""

    writes_alone = True
    identity = ""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        """Open (and where needed create and migrate) the database at `path`. Call inside a running event loop.

        Raises StoreUnusable when the file or its folder cannot be used.
        """
        self.path = path
        self.signals, self.changes = LocalSignals(), Changes()
        self._folder: str | None = None
        self._closed = False
        self._long: set[type] = set()
        """Queries that take several statements."""
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._lock = own(path)
        try:
            writing = _open(path, durable)
            try:
                self._reading = connect(path, read_only=True)
                for _ in range(_READERS):
                    self._idle.put(connect(path, read_only=True))
                checkpoints = Checkpoints(writing, connect(path, durable=durable))
            except AssayError:
                writing.close()
                raise
        except AssayError:
            os.close(self._lock)
            raise
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="assay-reader")
        self._writer = Writer(writing, checkpoints, path, self.signals, self.changes)

    @classmethod
    def temporary(cls) -> SqliteStore:
        """Open an empty store that lives in memory where the machine has a memory file system, and goes when closed."""
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
        folder = tempfile.mkdtemp(prefix="assay-", dir=base)
        store = cls(Path(folder) / "assay.db", durable=False)
        store._folder = folder
        return store

    async def generation(self) -> int:
        """Grows with every commit; this process makes them all."""
        return self._writer.commits

    @property
    def failure(self) -> AssayError | None:
        """What the last attempt to write failed of; None once one has been written."""
        return self._writer.failure

    async def transact(self, operations: Sequence[Operation[Any]], urgent: bool = False) -> list[Any | AssayError]:
        """Carry out each operation, alone in what it may fail of; answer once all is durable."""
        return await self._writer.submit(operations, urgent)

    async def apply(self, operation: Operation[T], urgent: bool = False) -> T:
        """Carry out one operation; return its result once it is durable, or raise its error."""
        (result,) = await self._writer.submit((operation,), urgent)
        if isinstance(result, AssayError):
            raise result
        return result  # type: ignore[no-any-return]

    async def lookup(self, query: Operation[T]) -> T:
        """Answer a query by primary key on the event loop: it takes microseconds, a thread would take a hundred."""
        return self._ask(self._reading, query)

    async def scan(self, query: Operation[T]) -> T:
        """Answer a list or an aggregate in a reader thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._scan, query)

    async def horizon(self) -> int:
        """Return the number of the last event: they become visible in their order, since one writer makes them all."""
        return await self.lookup(LastEvent())

    def announce(self, topics: Sequence[str]) -> None:
        """Wake whoever waits for `topics`; there is no other server."""
        self.signals.announce(topics)

    def connections(self) -> Connections:
        """Say how many connections there are: one that writes, one for look-ups on the loop, and the readers' own.

        The one that copies the write-ahead log answers nobody, and is not counted.
        """
        used = self._writer.busy + _READERS - self._idle.qsize()
        most = 2 + _READERS
        return Connections("sqlite", self.path.name, used, most - used, most)

    async def size(self) -> int:
        """Return the bytes of the file and of its write-ahead log."""
        found = [self.path, self.path.with_name(f"{self.path.name}-wal")]
        return sum(path.stat().st_size for path in found if path.exists())

    async def close(self) -> None:
        """Write what waits, then let go of the database. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        await self._writer.stop()
        self._readers.shutdown()
        self._reading.close()
        while not self._idle.empty():
            self._idle.get().close()
        self._writer.close()
        os.close(self._lock)
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _scan(self, query: Operation[T]) -> T:
        connection = self._idle.get()
        try:
            return self._ask(connection, query)
        finally:
            self._idle.put(connection)

    def _ask(self, connection: sqlite3.Connection, query: Operation[T]) -> T:
        """Answer a query from one snapshot, however many statements it takes."""
        try:
            if type(query) not in self._long:
                try:
                    return ask_once(connection, query)
                except TooManyStatements:
                    self._long.add(type(query))
            connection.execute("BEGIN")
            try:
                return drive(connection, query)
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise explain(error, self.path) from error


def _open(path: Path, durable: bool) -> sqlite3.Connection:
    """Return the writing connection to a database that is up to date. Raises StoreUnusable."""
    connection = connect(path, durable=durable)
    try:
        migrate(connection, path)
    except AssayError:
        connection.close()
        raise
    except sqlite3.Error as error:
        connection.close()
        raise explain(error, path) from error
    return connection


def own(path: Path) -> int:
    """Take the lock that keeps servers away from each other's database; return its descriptor. Raises StoreUnusable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        remedy = f"Give this user write access to {path.parent}, or choose another folder with --data."
        raise StoreUnusable(path=path, error=error.strerror or "it cannot be opened", remedy=remedy) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        remedy = "Stop the other `assay serve`, or give this one a folder of its own with --data."
        raise StoreUnusable(path=path, error="another Assay server is using it", remedy=remedy) from error
    return descriptor
