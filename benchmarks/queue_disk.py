"""What the disk allows: how near a worker alone comes to the commits that the database makes one after another.

Each run counts as two commits, one when it is taken and one when it is ended. Assay's worker needs one: it ends a run and
takes the next in one call. Both ways are measured. Disk and worker take turns of a moment each, because what the disk
gives changes by the second where others use it. On SQLite a third turn commits as many pages as a commit of a run's has:
what those cost, whatever is in them.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import asyncpg
from tests.postgres import Cluster

from assay.store.base import Store
from benchmarks.pace import Contender, Watch, progress
from benchmarks.queue_claims import of_stores
from benchmarks.queue_store import HandingOver
from benchmarks.table import figure, markdown

_TARGET = 0.8
_MOMENT = 20
"""Runs, and half of the commits, of one turn."""
_ROW = "x" * 50
_PAGES = 10
"""Pages that one of a run's two commits writes to SQLite's log: of tables and indexes of runs, attempts, events and jobs."""


class SqliteDisk:
    """A SQLite file that syncs its commits as the store's does, and nothing else: each transaction inserts one small row.

    `pages`: into as many tables. What it writes in a turn is too little for a checkpoint.
    """

    def __init__(self, path: Path, pages: int = 1) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA wal_autocheckpoint = 8000")
        self._lengthen()
        tables = [f"rows_{number}" for number in range(pages)]
        for table in tables:
            self._connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, text TEXT)")
        self._inserts = [f"INSERT INTO {table} (text) VALUES (?)" for table in tables]

    def _lengthen(self) -> None:
        """Bring the log to the length that it keeps: while it grows each commit takes longer."""
        self._connection.execute("CREATE TABLE long (text BLOB)")
        self._connection.execute("INSERT INTO long VALUES (zeroblob(36000000))")
        self._connection.execute("DROP TABLE long")

    async def commit(self, times: int) -> None:
        """Commit so many transactions, one after another, in this thread."""
        execute = self._connection.execute
        for _ in range(times):
            execute("BEGIN IMMEDIATE")
            for insert in self._inserts:
                execute(insert, (_ROW,))
            execute("COMMIT")


class PostgresDisk:
    """The same in a database of the PostgreSQL server that the store is on, over one connection."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def commit(self, times: int) -> None:
        """Commit so many transactions, one after another."""
        for _ in range(times):
            await self._connection.fetch("INSERT INTO rows (text) VALUES ($1)", _ROW)


class Beside(NamedTuple):
    """Commits a second of the disk alone, of one row and of as many pages as a run's, and of a worker alone."""

    disk: float
    wide: float
    """0 where pages do not count."""
    worker: float

    @property
    def share(self) -> float:
        """What the worker comes to, of what the disk allows."""
        return self.worker / self.disk

    @property
    def of_wide(self) -> float:
        """The same of what it allows for so many pages."""
        return self.worker / self.wide if self.wide else 0.0


Disk = SqliteDisk | PostgresDisk


async def disks(stores: Mapping[str, Store], postgres: Cluster, options: Namespace) -> dict[str, object]:
    """Measure, and print what came of it; return all figures."""
    connection = await asyncpg.connect(postgres.url(postgres.create_database()))
    await connection.execute("CREATE TABLE rows (id bigserial PRIMARY KEY, text text)")
    sqlite = [SqliteDisk(options.folder / f"rows-{pages}.db", pages) for pages in (1, _PAGES)]
    below: dict[str, Sequence[Disk]] = {"SQLite": sqlite, "PostgreSQL": [PostgresDisk(connection)]}
    apart, handing = of_stores(stores, postgres), of_stores(stores, postgres, HandingOver)
    contenders = apart | {f"{name}, end and next at once": one for name, one in handing.items()}
    found: dict[str, list[Beside]] = {name: [] for name in contenders}
    for number in range(options.rounds):
        for name, contender in contenders.items():
            found[name].append(await _beside(below[name.partition(",")[0]], contender, options.runs))
            progress(f"round {number + 1}: {name}: {found[name][-1].share:.2f} of the disk's")
    await connection.close()
    print(f"## Disk\n\nCommits a second, one after another. Medians of {options.rounds} rounds.\n")
    rows = []
    for name, rounds in found.items():
        figures = zip(*((*one, one.share, one.of_wide) for one in rounds), strict=True)
        disk, wide, worker, share, of_wide = map(statistics.median, figures)
        pages = (figure(wide), f"{of_wide:.2f}") if wide else ("-", "-")
        rows.append([name, figure(disk), pages[0], figure(worker), f"{share:.2f}", pages[1], str(_TARGET)])
    head = ("store", "the disk, one row each", f"{_PAGES} pages each", "one worker", "share", "share of the pages", "target")
    print(markdown(head, rows), end="\n\n")
    return {name: [one._asdict() for one in rounds] for name, rounds in found.items()}


async def _beside(disks: Sequence[Disk], contender: Contender, runs: int) -> Beside:
    turns = max(1, runs // _MOMENT)
    await contender.fill(turns * _MOMENT)
    took = [0.0] * (len(disks) + 1)
    for _ in range(turns):
        for place, disk in enumerate(disks):
            began = time.perf_counter()
            await disk.commit(2 * _MOMENT)
            took[place] += time.perf_counter() - began
        began = time.perf_counter()
        await contender.drain(1, Watch(_MOMENT))
        took[-1] += time.perf_counter() - began
    commits = 2 * _MOMENT * turns
    return Beside(commits / took[0], commits / took[1] if len(disks) > 1 else 0.0, commits / took[-1])
