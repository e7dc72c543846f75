"""Assay's API against the peer's (eval-hub-server), both on SQLite files or on one PostgreSQL, same load, same run.

    python -m benchmarks.api [--database sqlite|postgresql|both] [--quick] [--rounds 3] [--seconds 5] [--jobs 10000]
                             [--only tags] [--json FILE]

For each case the two servers take turns; the figures are medians over the rounds. CPU is the server's own, user and system,
divided by the requests it answered; on a busy machine it is the steadier figure. PostgreSQL is started for the occasion, as
it comes, with a database for each server; its own CPU is in nobody's column.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.postgres import cluster

from benchmarks import seed
from benchmarks.load import Ask, Load, each_once, under_load
from benchmarks.peer import peer, remove_leftovers
from benchmarks.seed import JOBS
from benchmarks.servers import Server, assay
from benchmarks.table import figure, markdown

PROVIDERS = "/api/v1/evaluations/providers"
_MANY = 50


@dataclass(frozen=True)
class Side:
    """One of the two servers with what was put into it."""

    server: Server
    ids: list[str]
    open_job: str


@dataclass(frozen=True)
class Case:
    """A kind of request. `once`: fresh requests for each round, each sent once, rather than in turn for a time."""

    name: str
    requests: Callable[[Side, int, int], list[Ask]]
    """For a side in a round, counted from 0, of so many."""
    connections: int
    once: bool = False


def _jobs(side: Side, *_: int) -> list[Ask]:
    return [Ask("GET", f"{JOBS}/{job_id}") for job_id in random.Random(1).sample(side.ids, len(side.ids))]


def _new_jobs(side: Side, number: int, rounds: int) -> list[Ask]:
    return _jobs(side)[number::rounds]


def _running(side: Side, *_: int) -> list[Ask]:
    return [Ask("POST", f"{JOBS}/{side.open_job}/events", seed.event(n, "running")) for n in range(_MANY)]


def _completed(side: Side, *_: int) -> list[Ask]:
    ids = asyncio.run(seed.open_jobs(side.server, 4, _MANY))
    return [Ask("POST", f"{JOBS}/{one}/events", seed.event(n, "completed", n)) for one in ids for n in range(_MANY)]


def _same(ask: Ask) -> Callable[[Side, int, int], list[Ask]]:
    return lambda *_: [ask]


def _get(path: str) -> Callable[[Side, int, int], list[Ask]]:
    return _same(Ask("GET", path))


CASES = (
    Case("GET health", _get("/api/v1/health"), 16),
    Case("GET health", _get("/api/v1/health"), 1),
    Case("GET job by id, for the first time", _new_jobs, 16, once=True),
    Case("GET job by id", _jobs, 16),
    Case("list, limit=50", _get(f"{JOBS}?limit=50"), 16),
    Case("list, limit=50, offset=9000", _get(f"{JOBS}?limit=50&offset=9000"), 16),
    Case("list, tags=t3", _get(f"{JOBS}?limit=50&tags=t3"), 16),
    Case("list, status=completed", _get(f"{JOBS}?limit=50&status=completed"), 16),
    Case("list, name=job-77", _get(f"{JOBS}?name=job-77"), 1),
    Case("list, name=job-77", _get(f"{JOBS}?name=job-77"), 16),
    Case("list providers", _get(PROVIDERS), 16),
    Case("POST running event, 50 benchmarks", _running, 1),
    Case("POST running event, 50 benchmarks", _running, 16),
    Case("POST completed events, 50 in turn", _completed, 1, once=True),
    Case("POST job", _same(Ask("POST", JOBS, seed.submission(1, seed.IDLE))), 4),
)


def measure(case: Case, sides: tuple[Side, Side], rounds: int, seconds: float) -> tuple[Load, Load]:
    """Return the medians of the peer and of us, who take turns."""
    found: tuple[list[Load], list[Load]] = ([], [])
    for number in range(rounds):
        for side, loads in zip(sides, found, strict=True):
            requests = case.requests(side, number, rounds)
            loads.append(
                each_once(side.server, requests, case.connections)
                if case.once
                else under_load(side.server, requests, case.connections, seconds)
            )
    return _median(found[0]), _median(found[1])


def _median(loads: list[Load]) -> Load:
    columns = zip(*(asdict(load).values() for load in loads), strict=True)
    requests, *others = (statistics.median(column) for column in columns)
    return Load(round(requests), *others)


def _row(case: Case, theirs: Load, ours: Load) -> list[str]:
    return [
        case.name,
        str(case.connections),
        figure(theirs.per_second),
        figure(ours.per_second),
        f"{figure(ours.per_second / theirs.per_second)}x",
        f"{theirs.cpu_ms:.3f}",
        f"{ours.cpu_ms:.3f}",
        f"{figure(theirs.cpu_ms / ours.cpu_ms)}x" if ours.cpu_ms else "-",
        f"{figure(theirs.p99_ms)}",
        f"{figure(ours.p99_ms)}",
    ]


HEAD = (
    "case", "connections", "peer req/s", "ours req/s", "ratio", "peer CPU ms/req", "ours CPU ms/req", "CPU ratio",
    "peer p99 ms", "ours p99 ms",
)  # fmt: skip


def prepare(server: Server, jobs: int) -> Side:
    """Put finished jobs and one open job of many benchmarks into a server."""
    began = time.perf_counter()
    ids = asyncio.run(seed.finished_jobs(server, jobs))
    print(f"{server.name}: {jobs:,} finished jobs in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return Side(server, ids, asyncio.run(seed.open_jobs(server, 1, _MANY))[0])


@dataclass(frozen=True)
class Outcome:
    """The figures on one kind of database: rows of both tables, and everything for the file."""

    cases: list[list[str]]
    servers: list[list[str]]
    figures: dict[str, object]


def compare(database: str, options: argparse.Namespace) -> Outcome:
    """Run every case against both servers on a kind of database."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-bench-")))
        (folder / "peer").mkdir()
        seed.write_catalogue(folder / "catalogue")
        postgres = stack.enter_context(cluster(durable=True)) if database == "postgresql" else None
        their_database, our_database = (postgres.create_database() for _ in range(2)) if postgres else ("", "")
        theirs = peer(
            folder / "peer", folder / "catalogue", postgres.url(their_database, scheme="postgres") if postgres else ""
        )
        stack.callback(remove_leftovers, folder / "peer", postgres, their_database)
        stack.callback(theirs.stop)
        environment = {"ASSAY_DATABASE": postgres.url(our_database) if postgres else ""}
        ours = assay(folder, "--no-worker", "--catalog", str(folder / "catalogue"), environment=environment)
        stack.callback(ours.stop)
        memory = {server.name: [server.memory_mib()] for server in (theirs, ours)}
        sides = (prepare(theirs, options.jobs), prepare(ours, options.jobs))
        rows, figures = [], []
        for case in CASES:
            if options.only not in case.name:
                continue
            found = measure(case, sides, options.rounds, options.seconds)
            rows.append(_row(case, *found))
            print(f"  {' | '.join(rows[-1])}", file=sys.stderr)
            figures.append(
                {"case": case.name, "connections": case.connections}
                | dict(zip(("peer", "ours"), map(asdict, found), strict=True))
            )
        for server in (theirs, ours):
            memory[server.name] += [server.memory_mib(), server.memory_mib("VmHWM")]
    servers = [
        [server.name, f"{server.start_ms:.0f}", *(f"{mib:.0f}" for mib in memory[server.name])] for server in (theirs, ours)
    ]
    return Outcome(rows, servers, {"cases": figures, "memory_mib": memory})


def main() -> None:
    parser = argparse.ArgumentParser(description="The API against eval-hub-server.")
    parser.add_argument(
        "--database", choices=("sqlite", "postgresql", "both"), default="sqlite", help="where both keep jobs"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="how long each case runs in a round")
    parser.add_argument("--jobs", type=int, default=10_000, help="finished jobs in each server")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--quick", action="store_true", help="1,000 jobs, one round of 2 s: to try it out")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.jobs = 1, 2, 1000
    databases = ("sqlite", "postgresql") if options.database == "both" else (options.database,)
    outcomes = {database: compare(database, options) for database in databases}
    for database, outcome in outcomes.items():
        name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[database]
        print(
            f"On {name}: {options.jobs:,} finished jobs in each; medians of {options.rounds} rounds of {options.seconds} s\n"
        )
        print(markdown(HEAD, outcome.cases))
        print()
        print(markdown(("server", "start ms", "memory MiB: idle", "after load", "highest"), outcome.servers))
        print()
    if options.json:
        figures = {database: outcome.figures for database, outcome in outcomes.items()}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
