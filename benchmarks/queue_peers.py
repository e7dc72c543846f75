"""The peers: saq, a queue on Redis, and procrastinate, one on PostgreSQL. Each runs a job that does nothing.

They work as their users have them work: a worker of theirs with a concurrency of so many. Of each job is timed how long the
worker waits for it, until its function could begin, and how long the worker then takes to have it marked as finished.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

from tests.postgres import Cluster
from tests.redis_server import RedisServer

from benchmarks.pace import Watch

_AT_ONCE = 500
_asked: ContextVar[float] = ContextVar("asked")
"""When the worker of saq asked for the job at hand; each job's function inherits it."""


def imported(name: str) -> Any:
    """Return a peer's library, silent but for errors. Raises SystemExit where it is not installed."""
    logging.getLogger(name).setLevel(logging.ERROR)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"{error.name or name} is not installed here: `uv sync --group peer` brings what is measured."
        ) from None


class Saq:
    """saq's worker on a Redis that syncs its log of changes as `appendfsync` says: for every change, or each second."""

    def __init__(self, redis: RedisServer, appendfsync: str) -> None:
        self.name = f"saq, Redis with appendfsync {appendfsync}"
        self._redis, self._appendfsync = redis, appendfsync
        self._queue = imported("saq").Queue.from_url(redis.url, name=f"bench-{appendfsync}")

    def pids(self) -> Iterable[int]:
        """Return Redis' process."""
        return [self._redis.pid]

    async def fill(self, runs: int) -> None:
        """Queue jobs; that may be synced once a second."""
        keep_changes(self._redis, "everysec")
        for first in range(0, runs, _AT_ONCE):
            await asyncio.gather(*[self._queue.enqueue("_nothing") for _ in range(first, min(first + _AT_ONCE, runs))])

    async def drain(self, workers: int, watch: Watch, batch: int = 1) -> None:
        """Have a worker of that concurrency work until the queue is empty."""
        keep_changes(self._redis, self._appendfsync)
        queue = self._queue
        dequeue, finish = queue.dequeue, queue.finish

        async def timed_dequeue(*arguments: Any, **options: Any) -> Any:
            _asked.set(watch.begin())
            return await dequeue(*arguments, **options)

        async def _nothing(_: Any) -> None:
            watch.claimed(_asked.get())

        async def timed_finish(*arguments: Any, **options: Any) -> None:
            began = time.perf_counter()
            await finish(*arguments, **options)
            if watch.finished(began):
                worker.event.set()

        queue.dequeue, queue.finish = timed_dequeue, timed_finish
        worker = imported("saq").Worker(queue, [("_nothing", _nothing)], concurrency=workers)
        worker.SIGNALS = []
        try:
            await worker.start()
        finally:
            queue.dequeue, queue.finish = dequeue, finish

    async def close(self) -> None:
        """Let go of Redis."""
        await self._queue.disconnect()


def keep_changes(redis: RedisServer, appendfsync: str) -> None:
    """Have Redis log every change on the disk, and sync it `always` before it answers or `everysec`."""
    redis.ask("CONFIG", "SET", "appendonly", "yes")
    redis.ask("CONFIG", "SET", "appendfsync", appendfsync)
    while "aof_rewrite_in_progress:0" not in redis.ask("INFO", "persistence"):
        time.sleep(0.01)


class Procrastinate:
    """procrastinate's worker on a PostgreSQL database of its own."""

    name = "procrastinate, PostgreSQL"

    def __init__(self, postgres: Cluster, most: int) -> None:
        """`most`: the highest concurrency; there are connections for all of it."""
        self._postgres = postgres
        procrastinate = imported("procrastinate")
        connector = procrastinate.PsycopgConnector(
            conninfo=postgres.url(postgres.create_database()), min_size=4, max_size=most + 4
        )
        self._app = procrastinate.App(connector=connector)
        self._task = self._app.task(name="nothing")(_nothing)

    def pids(self) -> Iterable[int]:
        """Return PostgreSQL's processes."""
        return self._postgres.pids()

    async def open(self) -> None:
        """Connect and make the schema."""
        await self._app.open_async()
        await self._app.schema_manager.apply_schema_async()

    async def fill(self, runs: int) -> None:
        """Queue jobs in groups."""
        for first in range(0, runs, _AT_ONCE):
            await self._task.batch_defer_async(*[{} for _ in range(first, min(first + _AT_ONCE, runs))])

    async def drain(self, workers: int, watch: Watch, batch: int = 1) -> None:
        """Have a worker of that concurrency work until the queue is empty."""
        jobs = self._app.job_manager
        fetch, finish = jobs.fetch_job, jobs.finish_job

        async def timed_fetch(*arguments: Any, **options: Any) -> Any:
            asked = watch.begin()
            job = await fetch(*arguments, **options)
            if job:
                watch.claimed(asked)
            return job

        async def timed_finish(*arguments: Any, **options: Any) -> None:
            began = time.perf_counter()
            await finish(*arguments, **options)
            watch.finished(began)

        jobs.fetch_job, jobs.finish_job = timed_fetch, timed_finish
        try:
            await self._app.run_worker_async(concurrency=workers, wait=False, install_signal_handlers=False)
        finally:
            jobs.fetch_job, jobs.finish_job = fetch, finish

    async def close(self) -> None:
        """Let go of the database."""
        await self._app.close_async()


async def _nothing() -> None:
    pass
