"""Takes and ends of runs: Assay's stores and the peers, in turns."""

from __future__ import annotations

import importlib.metadata
from argparse import Namespace
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict

from tests.postgres import Cluster
from tests.redis_server import RedisServer

from assay.store.base import Store
from benchmarks.pace import Contender, Pace, middle, progress, turn
from benchmarks.queue_peers import Procrastinate, Saq, imported
from benchmarks.queue_store import StoreContender
from benchmarks.table import figure, markdown

WORKERS = {1: 1, 4: 2, 16: 4}
"""How many workers at a time, and how many times --runs they take between them, so that no turn is very short."""

_SHAPES = {1: "1 run a job", 10: "10 runs a job"}
_BATCHES = 12
"""How many of them one turn has."""

Key = tuple[str, int, int]
"""A contender's name, how many workers it has, and how many runs each asks for at once."""


async def claims(stores: Mapping[str, Store], postgres: Cluster, redis: RedisServer, options: Namespace) -> list[object]:
    """Measure, and print what came of it; return all figures."""
    async with AsyncExitStack() as stack:
        procrastinate = Procrastinate(postgres, max(WORKERS))
        libraries: list[Saq | Procrastinate] = [Saq(redis, "always"), Saq(redis, "everysec"), procrastinate]
        for library in libraries:
            stack.push_async_callback(library.close)
        await procrastinate.open()
        ours = of_stores(stores, postgres)
        peers: dict[str, Contender] = {library.name: library for library in libraries}
        found: dict[Key, list[Pace]] = {}
        for contender in (*ours.values(), *peers.values()):
            await turn(contender, 1, 20)  # the first is slower
        for number in range(options.rounds):
            for key, contender in _turns(ours, peers, options.batch):
                name, workers, batch = key
                runs = options.runs * WORKERS[workers] if batch == 1 else _BATCHES * batch
                pace = await turn(contender, workers, runs, batch)
                found.setdefault(key, []).append(pace)
                progress(f"round {number + 1}: {name}, {workers} x {batch}: {figure(pace.per_second)} runs/s")
    medians = {key: middle(paces) for key, paces in found.items()}
    print(f"## Claims\n\nMedians of {options.rounds} rounds. {_versions()}\n")
    print(_paces(medians), end="\n\n")
    print("Against the peers with as many workers; CPU of all processes together. Above 1 Assay is the better.\n")
    print(_ratios(ours, peers, medians), end="\n\n")
    return [{"queue": name, "workers": n, "batch": batch, **asdict(pace)} for (name, n, batch), pace in medians.items()]


def of_stores(
    stores: Mapping[str, Store], postgres: Cluster, kind: type[StoreContender] = StoreContender
) -> dict[str, StoreContender]:
    """Return a contender for each store and each shape of jobs, by name."""
    return {
        f"{name}, {shape}": kind(store, per_job, postgres if name == "PostgreSQL" else None)
        for name, store in stores.items()
        for per_job, shape in _SHAPES.items()
    }


def _turns(ours: Mapping[str, Contender], peers: Mapping[str, Contender], batch: int) -> Iterable[tuple[Key, Contender]]:
    for workers in WORKERS:
        for name, contender in {**ours, **peers}.items():
            yield (name, workers, 1), contender
    for name, contender in ours.items():
        yield (name, 1, batch), contender


def _paces(medians: Mapping[Key, Pace]) -> str:
    head = ("queue", "workers", "runs/s", "claim p50 ms", "p99", "end p50 ms", "p99", "own CPU µs/run", "database's")
    rows = []
    for (name, workers, batch), pace in medians.items():
        times = (pace.claim_p50_ms, pace.claim_p99_ms, pace.end_p50_ms, pace.end_p99_ms)
        cpu = (figure(pace.own_cpu_us), figure(pace.server_cpu_us) if pace.server_cpu_us else "-")
        how = str(workers) if batch == 1 else f"{workers}, {batch} at once"
        rows.append([name, how, figure(pace.per_second), *map(figure, times), *cpu])
    return markdown(head, rows)


def _ratios(ours: Iterable[str], peers: Iterable[str], medians: Mapping[Key, Pace]) -> str:
    def cpu(pace: Pace) -> float:
        return pace.own_cpu_us + pace.server_cpu_us

    rows = []
    for name in ours:
        for workers in WORKERS:
            our, theirs = medians[name, workers, 1], [medians[peer, workers, 1] for peer in peers]
            paces = [our.per_second / their.per_second for their in theirs]
            rows.append(
                [name, str(workers), *(f"{ratio:.2f}x" for ratio in (*paces, *(cpu(one) / cpu(our) for one in theirs)))]
            )
    return markdown(
        ("queue", "workers", *(f"runs/s: {_short(name)}" for name in peers), *(f"CPU: {_short(name)}" for name in peers)),
        rows,
    )


def _short(name: str) -> str:
    return name.replace(", Redis with appendfsync", "").partition(",")[0]


def _versions() -> str:
    named = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("saq", "procrastinate"))
    return f"{named} on psycopg in its form '{imported('psycopg').pq.__impl__}'."
