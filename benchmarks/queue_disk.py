"""What the disk allows: how near a worker alone comes to the commits that the database makes one after another.

Each run is two commits, one when it is taken and one when it is ended, so half of those commits would be all of it. Disk and
worker take turns of a moment each, because what the disk gives changes by the second where others use it.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import asyncpg
from tests.postgres import Cluster

from assay.store.base import Store
from benchmarks.pace import Contender, Watch, progress
from benchmarks.queue_claims import of_stores
from benchmarks.table import figure, markdown

_TARGET = 0.8
_MOMENT = 20
"""Runs, and half of the commits, of one turn."""
_ROW = "x" * 50


class SqliteDisk:
    """A SQLite file with the settings of the store's, and nothing else: each transaction inserts one small row."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)")

    async def commit(self, times: int) -> None:
        """Commit so many transactions, one after another, in this thread."""
        execute = self._connection.execute
        for _ in range(times):
            execute("BEGIN IMMEDIATE")
            execute("INSERT INTO rows (text) VALUES (?)", (_ROW,))
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
    """Commits a second of the disk alone, and of a worker alone."""

    disk: float
    worker: float

    @property
    def share(self) -> float:
        """What the worker comes to, of what the disk allows."""
        return self.worker / self.disk


async def disks(stores: Mapping[str, Store], postgres: Cluster, options: Namespace) -> dict[str, object]:
    """Measure, and print what came of it; return all figures."""
    connection = await asyncpg.connect(postgres.url(postgres.create_database()))
    await connection.execute("CREATE TABLE rows (id bigserial PRIMARY KEY, text text)")
    below: dict[str, SqliteDisk | PostgresDisk] = {
        "SQLite": SqliteDisk(options.folder / "rows.db"),
        "PostgreSQL": PostgresDisk(connection),
    }
    contenders = of_stores(stores, postgres)
    found: dict[str, list[Beside]] = {name: [] for name in contenders}
    for number in range(options.rounds):
        for name, contender in contenders.items():
            found[name].append(await _beside(below[name.partition(",")[0]], contender, options.runs))
            progress(f"round {number + 1}: {name}: {found[name][-1].share:.2f} of the disk's")
    await connection.close()
    print(f"## Disk\n\nCommits a second, one after another. Medians of {options.rounds} rounds.\n")
    rows = []
    for name, rounds in found.items():
        figures = zip(*((one.disk, one.worker, one.share) for one in rounds), strict=True)
        disk, worker, share = map(statistics.median, figures)
        rows.append([name, figure(disk), figure(worker), f"{share:.2f}", str(_TARGET)])
    print(markdown(("store", "the disk, one row each", "one worker", "share", "target"), rows), end="\n\n")
    return {name: [one._asdict() for one in rounds] for name, rounds in found.items()}


async def _beside(disk: SqliteDisk | PostgresDisk, contender: Contender, runs: int) -> Beside:
    turns = max(1, runs // _MOMENT)
    await contender.fill(turns * _MOMENT)
    disk_s = worker_s = 0.0
    for _ in range(turns):
        began = time.perf_counter()
        await disk.commit(2 * _MOMENT)
        between = time.perf_counter()
        await contender.drain(1, Watch(_MOMENT))
        disk_s += between - began
        worker_s += time.perf_counter() - between
    commits = 2 * _MOMENT * turns
    return Beside(commits / disk_s, commits / worker_s)
