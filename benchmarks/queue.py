"""The queue: what it costs to hand a run to a worker and to take it back, against queue libraries on Redis and PostgreSQL.

    python -m benchmarks.queue [--rounds 3] [--runs 300] [--batch 500] [--queued 100000] [--noops 1000] [--slots N]
                               [--only claims|disk|leases|makespan] [--quick] [--sync-ms MS] [--json FILE]

Four parts. *Claims*: workers take a run, end it and take the next, and do nothing else; so do those of saq and procrastinate
(`uv sync --group peer` brings them). *Disk*: one such worker against the commits that the disk allows. *Leases*: how long a
worker waits for a run when very many are queued, of many tenants, providers and priorities. *Makespan*: many runs, from
submit to completed, each a process that does nothing. All take turns; figures are medians over the rounds, CPU is user and
system.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import sysconfig
import tempfile
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

from tests.postgres import Cluster, cluster
from tests.redis_server import RedisServer, redis_server

from assay import eventloop
from assay.store.base import Store
from assay.store.postgres import PostgresStore
from assay.store.sqlite import SqliteStore
from benchmarks.pace import Pace, Watch, middle, progress
from benchmarks.queue_claims import WORKERS, claims
from benchmarks.queue_disk import disks
from benchmarks.queue_makespan import makespans
from benchmarks.queue_peers import imported
from benchmarks.queue_store import PROVIDERS, QUOTAS, TENANTS, StoreContender
from benchmarks.slow_sync import slow_down
from benchmarks.table import figure, markdown

_TARGET_MS = 20.0
"""Most milliseconds for a lease from a long queue, at the 99th percentile."""


async def leases(stores: dict[str, Store], postgres: Cluster, database: str, options: argparse.Namespace) -> list[object]:
    """Measure leases from a long queue, and print what came of it; return all figures. `database`: PostgreSQL's."""
    contenders = {}
    for name, store in stores.items():
        server = postgres if name == "PostgreSQL" else None
        for how, quotas in (("none", None), ("of every kind", QUOTAS)):
            contenders[name, how] = StoreContender(store, 10, server, mixed=True, quotas=quotas)
        await contenders[name, "none"].fill(options.queued)
        progress(f"{name}: {options.queued:,} runs are queued")
    postgres.sql("VACUUM (ANALYZE)", database)  # as autovacuum does within a minute, at a moment of its own
    postgres.sql("CHECKPOINT")
    os.sync()  # or the system writes what the filling has left within half a minute, and a commit waits for it
    workers = max(WORKERS)
    found: dict[tuple[str, str], list[Pace]] = {key: [] for key in contenders}
    for number in range(options.rounds):
        for key, contender in contenders.items():
            watch = Watch(options.runs * WORKERS[workers], contender.pids)
            await contender.drain(workers, watch)
            found[key].append(watch.pace())
            progress(f"round {number + 1}: {key[0]}, quotas {key[1]}: p99 {figure(found[key][-1].claim_p99_ms)} ms")
    rows = []
    for (name, how), paces in found.items():
        pace = middle(paces)
        cpu = (figure(pace.own_cpu_us), figure(pace.server_cpu_us) if pace.server_cpu_us else "-")
        times = (pace.per_second, pace.claim_p50_ms, pace.claim_p99_ms)
        rows.append([name, how, *map(figure, times), figure(_TARGET_MS), *cpu])
    print(f"## Leases\n\n{workers} workers take and end runs while {options.queued:,} are queued, of {TENANTS} tenants and")
    print(f"{PROVIDERS} providers. Medians of {options.rounds} rounds.\n")
    head = ("store", "quotas", "runs/s", "lease p50 ms", "p99", "target p99", "own CPU µs/run", "database's")
    print(markdown(head, rows), end="\n\n")
    return [{"store": name, "quotas": how, "rounds": list(map(asdict, paces))} for (name, how), paces in found.items()]


async def _in_stores(
    postgres: Cluster, redis: RedisServer, parts: list[str], options: argparse.Namespace
) -> dict[str, object]:
    """Run each of `parts` on new stores; return the figures of each."""
    figures: dict[str, object] = {}
    for part in parts:
        async with AsyncExitStack() as stack:
            database = postgres.create_database()
            stores: dict[str, Store] = {
                "SQLite": SqliteStore(options.folder / f"{part}.db"),
                "PostgreSQL": await PostgresStore.open(postgres.url(database)),
            }
            for store in stores.values():
                stack.push_async_callback(store.close)
            if part == "claims":
                figures[part] = await claims(stores, postgres, redis, options)
            elif part == "disk":
                figures[part] = await disks(stores, postgres, options)
            else:
                figures[part] = await leases(stores, postgres, database, options)
    return figures


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description="The queue, against saq and procrastinate.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=300, help="runs that one worker takes in a turn; more workers take more")
    parser.add_argument("--batch", type=int, default=500, help="runs that are asked for and ended with one call")
    parser.add_argument("--queued", type=int, default=100_000, help="runs in the long queue")
    parser.add_argument("--noops", type=int, default=1000, help="runs that are processes")
    parser.add_argument("--slots", type=int, default=os.cpu_count() or 1, help="how many of those at a time")
    parser.add_argument("--only", default="", help="only parts whose name contains this: claims, disk, leases, makespan")
    parser.add_argument("--quick", action="store_true", help="few of everything, one round: to try it out")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the files are made: a disk, not memory")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--sync-ms", type=float, default=0, help="how much longer each sync takes: a slower disk's")
    options = parser.parse_args()
    slow_down(options.sync_ms)
    if options.quick:
        options.rounds, options.runs, options.batch, options.queued, options.noops = 1, 50, 100, 3000, 50
    parts = [part for part in ("claims", "disk", "leases", "makespan") if options.only in part]
    for name in ("saq", "procrastinate"):
        imported(name)
    with (
        cluster(durable=True) as postgres,
        redis_server() as redis,
        tempfile.TemporaryDirectory(prefix="assay-queue-", dir=options.folder.resolve()) as folder,
    ):
        options.folder, load = Path(folder), os.getloadavg()[0]
        if options.folder.stat().st_dev != Path(tempfile.gettempdir()).stat().st_dev:
            print("PostgreSQL and Redis have their files on another disk: set TMPDIR or --folder.", file=sys.stderr)
        in_stores = [part for part in parts if part != "makespan"]
        figures = eventloop.run(_in_stores(postgres, redis, in_stores, options))
        if "makespan" in parts:
            figures["makespan"] = makespans(redis, options)
    print(f"\nThe machine has {os.cpu_count()} cores; its load was {load:.1f} before and is {os.getloadavg()[0]:.1f} now.")
    how = "with" if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "") else "without"
    print(f"Python {platform.python_version()} was compiled {how} optimizations.")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
