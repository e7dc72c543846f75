"""The time from submit to completed of many runs that do nothing, with everything that carries them out.

Each run is a process of `noop_adapter.sh`. Assay's worker starts as many at a time as it has slots, and so does saq's; the
peer starts all at once. To Assay and to the peer each process reports by HTTP, and its report is the result; saq's jobs take
the exit code for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shlex
import statistics
import time
import urllib.request
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.redis_server import RedisServer

from assay import eventloop
from benchmarks.pace import progress
from benchmarks.peer import peer, remove_leftovers
from benchmarks.queue_peers import imported, keep_changes
from benchmarks.seed import JOBS
from benchmarks.servers import Server, assay, cpu_s, tree
from benchmarks.table import figure, markdown

PER_JOB = 50
"""Benchmarks of each job that is submitted."""

_PROGRAM = Path(__file__).with_name("noop_adapter.sh")
_COMMAND = f"exec bash {shlex.quote(str(_PROGRAM))}"
_ENDED = {"completed", "failed", "cancelled", "partially_failed"}
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Makespan:
    """What it took to have `runs` runs done; `cpu_ms` for each of them, of all processes together."""

    runs: int
    seconds: float
    cpu_ms: float


class Failed(Exception):
    """Not all runs were completed: says what became of them."""


class Driven:
    """A server of the EvalHub API that is given jobs whose benchmarks do nothing."""

    def __init__(self, start: Callable[[], Server]) -> None:
        self._start = start
        self._server = start()

    def makespan(self, runs: int) -> Makespan:
        """Submit the runs and wait for the last. Raises Failed; the server is then a new one."""
        try:
            return self._makespan(runs)
        except (Failed, OSError) as error:
            self._server.stop()
            self._server = self._start()
            raise Failed(str(error)) from error

    def stop(self) -> None:
        """End the server."""
        self._server.stop()

    def _makespan(self, runs: int) -> Makespan:
        cpu, began = cpu_s(tree(self._server.pid)), time.perf_counter()
        sizes = [min(PER_JOB, runs - first) for first in range(0, runs, PER_JOB)]
        ids = [self._ask(JOBS, _submission(size))["resource"]["id"] for size in sizes]
        for job_id in ids:
            since = time.perf_counter()
            while (state := self._ask(f"{JOBS}/{job_id}")["status"]["state"]) not in _ENDED:
                if time.perf_counter() - since > _PATIENCE_S:
                    raise Failed(f"a job is still {state}, {_PATIENCE_S:.0f} s after the one before it")
                time.sleep(0.02)
            if state != "completed":
                raise Failed(f"a job ended as {state}")
        took = time.perf_counter() - began
        return Makespan(runs, took, (cpu_s(tree(self._server.pid)) - cpu) / runs * 1e3)

    def _ask(self, path: str, body: bytes | None = None) -> Any:
        with urllib.request.urlopen(urllib.request.Request(self._server.url + path, body), timeout=60) as answer:
            return json.load(answer)


def _submission(benchmarks: int) -> bytes:
    entries = [{"provider_id": "noop", "id": f"b{n}"} for n in range(benchmarks)]
    return json.dumps(
        {"name": "noop", "model": {"url": "http://127.0.0.1:9/v1", "name": "m"}, "benchmarks": entries}
    ).encode()


def makespans(redis: RedisServer, options: Namespace) -> dict[str, object]:
    """Measure, and print what came of it; return all figures."""
    ours, theirs, queue = f"Assay, {options.slots} slots", "eval-hub-server", f"saq, concurrency {options.slots}"
    found: dict[str, list[Makespan]] = {ours: [], theirs: [], queue: []}
    most, notes = options.noops, []
    with ExitStack() as stack:
        for name in ("assay", "peer"):
            (options.folder / name).mkdir()
        mine, catalogue = options.folder / "assay", _catalogue(options.folder)
        flags = ("--catalog", str(catalogue), "--slots", str(options.slots))
        servers = {
            ours: Driven(lambda: assay(mine, *flags, environment={"ASSAY_ENGINE_HOST": "off"})),  # it is for other engines
            theirs: Driven(lambda: peer(options.folder / "peer", catalogue)),
        }
        stack.callback(remove_leftovers, options.folder / "peer")
        for server in servers.values():
            stack.callback(server.stop)
            server.makespan(5)  # the first is slower
        for number in range(options.rounds):
            found[ours].append(servers[ours].makespan(options.noops))
            while most:
                try:
                    found[theirs].append(servers[theirs].makespan(most))
                    break
                except Failed as failure:
                    notes.append(f"{theirs} did not complete {most:,} runs: {failure}")
                    found[theirs].clear()
                    most //= 2
            found[queue].append(saq_makespan(redis, options))
            for name, spans in found.items():
                progress(f"round {number + 1}: {name}: {figure(spans[-1].seconds) if spans else '-'} s")
    print("## Makespan\n\nRuns that do nothing, each a process, from submit to completed.\n")
    print(_table(found))
    for note in notes:
        print(f"\n{note}")
    return {name: [asdict(span) for span in spans] for name, spans in found.items()} | {"notes": notes}


def _table(found: Mapping[str, Sequence[Makespan]]) -> str:
    rows = []
    our_s = 0.0
    for name, spans in found.items():
        if not spans:
            continue
        each_s = statistics.median(one.seconds / one.runs for one in spans)
        our_s = our_s or each_s
        cpu = statistics.median(one.cpu_ms for one in spans)
        runs = spans[0].runs
        rows.append([name, f"{runs:,}", figure(each_s * runs), figure(1 / each_s), figure(cpu), f"{each_s / our_s:.2f}x"])
    return markdown(("way", "runs", "seconds", "runs/s", "CPU ms/run", "time a run against Assay"), rows)


def _catalogue(folder: Path) -> Path:
    catalogue = folder / "catalogue"
    for name in ("providers", "collections"):
        (catalogue / name).mkdir(parents=True)
    benchmarks = [{"id": f"b{n}", "name": f"b{n}", "category": "math"} for n in range(PER_JOB)]
    runtime = {"local": {"command": _COMMAND}}
    provider = {"id": "noop", "name": "noop", "title": "noop", "benchmarks": benchmarks, "runtime": runtime}
    (catalogue / "providers" / "noop.yaml").write_text(json.dumps(provider))
    return catalogue


def saq_makespan(redis: RedisServer, options: Namespace) -> Makespan:
    """Have a worker of saq start the processes, on a Redis that syncs every change."""
    runs: int = options.noops
    job = options.folder / "job.json"
    job.write_text(json.dumps({"id": "noop"}))
    environment = {"PATH": os.environ["PATH"], "EVALHUB_JOB_SPEC_PATH": str(job)}
    keep_changes(redis, "always")

    async def work() -> Makespan:
        queue = imported("saq").Queue.from_url(redis.url, name="makespan")
        finish, left = queue.finish, runs

        async def start(_: Any) -> None:
            process = await asyncio.create_subprocess_exec("/bin/sh", "-c", _COMMAND, env=environment)
            if await process.wait():
                raise SystemExit("the program that does nothing has failed")

        async def counted(*arguments: Any, **options: Any) -> None:
            nonlocal left
            await finish(*arguments, **options)
            left -= 1
            if not left:
                worker.event.set()

        queue.finish = counted
        worker = imported("saq").Worker(queue, [("start", start)], concurrency=options.slots)
        worker.SIGNALS = []
        cpu, began = _own_cpu_s() + cpu_s([redis.pid]), time.perf_counter()
        working = asyncio.create_task(worker.start())
        await asyncio.gather(*[queue.enqueue("start") for _ in range(runs)])
        await worker.event.wait()
        took = time.perf_counter() - began
        cpu = _own_cpu_s() + cpu_s([redis.pid]) - cpu
        await working
        await queue.disconnect()
        return Makespan(runs, took, cpu / runs * 1e3)

    return eventloop.run(work())


def _own_cpu_s() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
