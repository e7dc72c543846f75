"""Lists, filters and the command line with 100,000 finished jobs in the store, and events of jobs with many benchmarks.

    python -m benchmarks.scale [--database sqlite|postgresql] [--jobs 100000] [--json FILE]

Every request of a case differs, so none is answered from a kept page. One connection, one request after another.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from tests.postgres import cluster

from assay import eventloop
from assay.model.plan import Context, Model, Plan
from assay.model.records import NewJob, NewRun
from assay.model.results import Report, Result
from assay.model.states import Status
from assay.scheduler.identifiers import new_id, now, rfc3339
from assay.store.base import Store
from assay.store.jobs import CreateJob
from assay.store.postgres import PostgresStore
from assay.store.runs import ReportRun
from assay.store.sqlite import SqliteStore
from benchmarks import seed
from benchmarks.load import Ask, Load, each_once
from benchmarks.seed import JOBS
from benchmarks.servers import Server, assay
from benchmarks.table import figure, markdown

_AT_ONCE = 500
_REQUESTS = 200
_BENCHMARKS = (1, 10, 100, 1000)
"""Benchmarks of the jobs that events are sent for."""


def fill(database: Path | str, jobs: int) -> None:
    """Put finished jobs into a new database, by the operations that the server itself uses. A text: PostgreSQL's URL."""

    async def work() -> None:
        store: Store
        if isinstance(database, Path):
            database.parent.mkdir(parents=True)
            store = SqliteStore(database, durable=False)
        else:
            store = await PostgresStore.open(database)
        for first in range(0, jobs, _AT_ONCE):
            made = [_job(i) for i in range(first, min(first + _AT_ONCE, jobs))]
            await store.transact([CreateJob(job, now()) for job in made])
            reports = [_report(job, n, first + i) for i, job in enumerate(made) for n in range(len(job.runs))]
            for answer in await store.transact(reports):
                if isinstance(answer, Exception):
                    raise answer
        await store.close()

    eventloop.run(work())


def _job(i: int) -> NewJob:
    body: dict[str, Any] = json.loads(seed.submission(i))
    runs = []
    for benchmark in body["benchmarks"]:
        plan = Plan(
            kind="evaluation",
            provider_id=benchmark["provider_id"],
            benchmark_id=benchmark["id"],
            engine="adapter",
            model=Model(body["model"]["name"], body["model"]["url"]),
            parameters=benchmark["parameters"],
        )
        runs.append(NewRun(id=new_id(), plan=plan, context=Context(), digest=plan.digest()))
    return NewJob(
        id=new_id(),
        kind="evaluation",
        tenant="",
        owner=f"user-{i % 20}",
        name=body["name"],
        tags=body["tags"],
        collection=f"collection-{i % 5}" if i % 11 == 0 else "",
        model=body["model"]["name"],
        spec=msgspec.json.encode(body),
        runs=runs,
    )


def _report(job: NewJob, index: int, i: int) -> ReportRun:
    status = seed.ends(i)[index]
    event = json.loads(seed.event(index, status, i))["benchmark_status_event"]
    moment = now()
    return ReportRun(
        job_id=job.id,
        tenant=None,
        provider_id=event["provider_id"],
        benchmark_id=event["id"],
        index=index,
        status=Status(status),
        report=msgspec.convert({name: event[name] for name in ("error_message", "completed_at") if name in event}, Report),
        result=Result(metrics=event.get("metrics", {}), additional_info=event.get("additional_info", {})),
        now=moment,
        at=rfc3339(moment),
        grace=0,
    )


def _cases(jobs: int, middle: str) -> dict[str, list[str]]:
    """Return the queries of each case; each is asked once. `middle`: when about half of the jobs had been made."""
    some = range(_REQUESTS)
    return {
        "first pages": [f"limit=50&offset={i}" for i in some],
        "last pages": [f"limit=50&offset={jobs - 100 - i}" for i in some],
        "status=completed": [f"limit=50&status=completed&offset={i}" for i in some],
        "status=failed": [f"limit=50&status=failed&offset={i}" for i in some],
        "status=!completed": [f"limit=50&status=!completed&offset={i}" for i in some],
        "tags=tN (a tenth of all)": [f"limit=50&tags=t{i % 10}&offset={i}" for i in some],
        "tags=tN,nightly (both)": [f"limit=50&tags=t{i % 10},nightly&offset={i}" for i in some],
        "tags=tN&status=failed": [f"limit=50&tags=t{i % 10}&status=failed&offset={i}" for i in some],
        "tags=!tN (all but a tenth)": [f"limit=50&tags=!t{i % 10}&offset={i}" for i in some],
        "tags=tN, last pages": [f"limit=50&tags=t{i % 10}&offset={jobs // 10 - 60 - i}" for i in some],
        "name=job-N": [f"name=job-{i * 37}" for i in some],
        "name=!job-N": [f"limit=50&name=!job-{i}" for i in some],
        "owner=user-N": [f"limit=50&owner=user-{i % 20}&offset={i}" for i in some],
        "owner=user-N&status=failed": [f"limit=50&owner=user-{i % 20}&status=failed&offset={i}" for i in some],
        "model=model-N": [f"limit=50&model=model-{i % 7}&offset={i}" for i in some],
        "collection_id=collection-N": [f"limit=50&collection_id=collection-{i % 5}&offset={i}" for i in some],
        "created_after=half": [f"limit=50&created_after={middle}&offset={i}" for i in some],
        "created_before=half": [f"limit=50&created_before={middle}&offset={i}" for i in some],
        "created_before=half&tags=tN": [f"limit=50&created_before={middle}&tags=t{i % 10}&offset={i}" for i in some],
        "limit=500": [f"limit=500&offset={i}" for i in some],
    }


def events(server: Server, benchmarks: int) -> list[tuple[str, Load]]:
    """Return what running and completed events of a job with so many benchmarks cost, one after another."""
    (running,) = asyncio.run(seed.open_jobs(server, 1, benchmarks))
    jobs = asyncio.run(seed.open_jobs(server, max(1, _REQUESTS // benchmarks), benchmarks))
    places = [(job, n) for job in jobs for n in range(benchmarks)][:_REQUESTS]
    return [
        (
            what,
            each_once(server, [Ask("POST", f"{JOBS}/{job}/events", seed.event(n, what, n)) for job, n in targets]),
        )
        for what, targets in (
            ("running", [(running, n % benchmarks) for n in range(_REQUESTS)]),
            ("completed", places),
        )
    ]


def processes(server: Server, repeats: int) -> list[float]:
    """Return the milliseconds of `assay jobs list` as a whole process, each time."""
    program = str(Path(sys.executable).with_name("assay"))
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        subprocess.run([program, "--server", server.url, "jobs", "list"], check=True, capture_output=True)
        times.append((time.perf_counter() - began) * 1e3)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description="Lists and the command line with very many jobs.")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=20, help="how often `assay jobs list` is started")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-bench-")))
        postgres = stack.enter_context(cluster(durable=True)) if options.database == "postgresql" else None
        database = postgres.create_database() if postgres else ""
        url = postgres.url(database) if postgres else ""
        began, start = time.perf_counter(), now()
        fill(url or folder / "data" / "assay.db", options.jobs)
        middle = rfc3339((start + now()) // 2)
        if postgres:
            postgres.sql("VACUUM (ANALYZE)", database)  # as autovacuum does within a minute, at a moment of its own
        print(f"{options.jobs:,} finished jobs in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        seed.write_catalogue(folder / "catalogue")
        environment = {"ASSAY_DATABASE": url}
        server = assay(folder, "--no-worker", "--catalog", str(folder / "catalogue"), environment=environment)
        stack.callback(server.stop)
        rows, figures = [], {}
        for name, queries in _cases(options.jobs, middle).items():
            load = each_once(server, [Ask("GET", f"{JOBS}?{query}") for query in queries])
            rows.append([name, figure(load.p50_ms), figure(load.p99_ms), figure(load.cpu_ms)])
            figures[name] = asdict(load)
        times = processes(server, options.repeats)
        memory = server.memory_mib("VmHWM")
        reports = [(what, n, load) for n in _BENCHMARKS for what, load in events(server, n)]
    print(f"{options.jobs:,} finished jobs\n")
    print(markdown(("list", "median ms", "p99 ms", "server CPU ms/req"), rows))
    median, fastest, slowest = statistics.median(times), min(times), max(times)
    print(f"\n`assay jobs list` as a process: median {median:.0f} ms, fastest {fastest:.0f} ms, slowest {slowest:.0f} ms.")
    print(f"Highest memory of the server: {memory:.0f} MiB.")
    print("\nEvents, one after another on one connection, by the number of benchmarks in the job:\n")
    lines = [[what, str(n), figure(load.p50_ms), figure(load.p99_ms), figure(load.cpu_ms)] for what, n, load in reports]
    print(markdown(("event", "benchmarks", "median ms", "p99 ms", "server CPU ms/event"), lines))
    if options.json:
        options.json.write_text(json.dumps({"lists": figures, "jobs_list_ms": times, "memory_mib": memory}, indent=2) + "\n")


if __name__ == "__main__":
    main()
