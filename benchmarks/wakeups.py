"""What Redis is worth to servers on one PostgreSQL: wake-ups by NOTIFY and by Redis, and a look-up in each.

    python -m benchmarks.wakeups [--repeats 500]

Two stores in one process stand for two servers, on a private PostgreSQL that syncs and a private Redis. One changes a job;
the other waits for it as a long poll does. The routes take turns, so whatever else the machine does meets all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from tests.postgres import Cluster, cluster
from tests.redis_server import RedisServer, redis_server
from tests.store.life import Identifiers, Life, new_job

from assay import eventloop
from assay.redis import Buckets, Redis
from assay.server.documents import Documents
from assay.server.evalhub.rendering import job_document
from assay.store.base import job_topic
from assay.store.jobs import CreateJob
from assay.store.postgres import PostgresStore
from assay.store.queries import JobVersion, JobWithRuns
from benchmarks.table import figure, markdown

_WARM = 50
_QUIET_S = 1.0


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=500)
    options = parser.parse_args()
    with cluster(durable=True) as postgres, redis_server() as redis:
        eventloop.run(_measure(postgres, redis, options.repeats))


async def _measure(postgres: Cluster, server: RedisServer, repeats: int) -> None:
    async with AsyncExitStack() as stack:
        connections = [Redis(server.url) for _ in range(2)]
        for connection in connections:
            stack.push_async_callback(connection.close)
            await connection.ready()
        # Over an address that is called pooled there is no NOTIFY, so Redis is alone.
        routes = {"NOTIFY": ("", False), "Redis, ?pgbouncer=true": ("?pgbouncer=true", True), "both": ("", True)}
        pairs = {}
        for name, (option, shared) in routes.items():
            url = postgres.url(postgres.create_database()) + option
            opened = [await PostgresStore.open(url, connection if shared else None) for connection in connections]
            for store in opened:
                stack.push_async_callback(store.close)
            pairs[name] = opened
        print(await _wakeups(pairs, repeats), end="\n\n")
        print(await _lookups(pairs["both"][0], connections[0], repeats))


async def _wakeups(pairs: dict[str, list[PostgresStore]], repeats: int) -> str:
    """Time changes: until the change is durable at the one server, and until the other is awake."""
    written: dict[str, list[float]] = {name: [] for name in pairs}
    woken: dict[str, list[float]] = {name: [] for name in pairs}
    lost = dict.fromkeys(pairs, 0)
    lives = {name: Life(here) for name, (here, _) in pairs.items()}
    ids = Identifiers()
    for life in lives.values():
        life.new_id = ids
    jobs = {name: [await life.submit() for _ in range(_WARM + repeats)] for name, life in lives.items()}
    await asyncio.sleep(_QUIET_S)  # a submission rings too, and by both routes
    for turn in range(_WARM + repeats):
        for name, (_, there) in pairs.items():
            job = jobs[name][turn]
            ticket = there.signals.ticket([job_topic(job.id)])
            began = time.perf_counter()
            waiting = asyncio.create_task(_awake(ticket.wait(5.0)))
            await lives[name].cancel(job)
            written[name].append(time.perf_counter() - began)
            heard, at = await waiting
            lost[name] += not heard
            woken[name].append(at - began)
    rows = []
    for name in pairs:
        change, awake = written[name][_WARM:], woken[name][_WARM:]
        gap = sorted(b - a for a, b in zip(change, awake, strict=True))
        cells = [_ms(change, 0.5), _ms(awake, 0.5), _ms(awake, 0.99), _ms(gap, 0.5), _ms(gap, 0.99), str(lost[name])]
        rows.append([name, *cells])
    head = ["route", "change written p50 ms", "other awake p50", "p99", "after the answer p50", "p99", "lost"]
    return markdown(head, rows)


async def _awake(wait: Awaitable[bool]) -> tuple[bool, float]:
    return await wait, time.perf_counter()


async def _lookups(store: PostgresStore, redis: Redis, repeats: int) -> str:
    """Time what a shared cache of documents would save, against what it would cost."""
    life = Life(store)
    job = new_job(Identifiers(), 3, name="looked-up")
    await store.apply(CreateJob(job, life.now))
    found = await store.lookup(JobWithRuns(job.id))
    assert found
    document = job_document(*found)
    documents = Documents()
    documents.put(job.id, 1, document)
    await redis.ask(lambda client: client.set("assay:bench", document))
    buckets = Buckets(redis, "assay:bench:")

    async def made() -> None:
        fresh = await store.lookup(JobWithRuns(job.id))
        assert fresh
        job_document(*fresh)

    async def kept() -> None:
        documents.get(job.id, 1)

    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "this process' memory": kept,
        "PostgreSQL: is it still that version": lambda: store.lookup(JobVersion(job.id)),
        "PostgreSQL: the job and its runs, rendered": made,
        f"Redis: GET of the document ({len(document):,} bytes)": lambda: redis.ask(lambda client: client.get("assay:bench")),
        "Redis: a token of a shared bucket": lambda: buckets.take("caller", 1000.0, 1000),
    }
    wall: dict[str, list[float]] = {name: [] for name in steps}
    cpu = dict.fromkeys(steps, 0.0)
    for n in range(_WARM + repeats):
        for name, step in steps.items():
            began, used = time.perf_counter(), time.process_time()
            await step()
            if n >= _WARM:
                cpu[name] += time.process_time() - used
                wall[name].append(time.perf_counter() - began)
    rows = [[name, _us(wall[name], 0.5), _us(wall[name], 0.99), figure(cpu[name] / repeats * 1e6)] for name in steps]
    return markdown(["look-up", "p50 µs", "p99 µs", "own CPU µs"], rows)


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _ms(values: list[float], share: float) -> str:
    return figure(_quantile(values, share) * 1e3)


def _us(values: list[float], share: float) -> str:
    return figure(_quantile(values, share) * 1e6)


if __name__ == "__main__":
    main()
