"""A thousand watchers of one job: how soon the last of them is told, and what they cost the server and the writers.

    python -m benchmarks.watchers [--watchers 1000] [--events 200] [--seconds 5]

The watchers are connections of one other process, which reads them all; each is a client of its own to the server. The time
of an event runs from the moment before its report is sent to the moment when the last watcher has it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import re
import resource
import select
import socket
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from benchmarks import seed
from benchmarks.load import Ask, Connection, under_load
from benchmarks.seed import JOBS
from benchmarks.servers import Server, assay
from benchmarks.table import figure, markdown

_ENDED = re.compile(rb'"type":"run\.completed","data":\{[^}]*"benchmark_index":(\d+)')
_CONNECTIONS = 16


@dataclass(frozen=True)
class Arrivals:
    """When an event reached its last watcher, by benchmark, and how many watchers it reached."""

    last: dict[int, float]
    reached: dict[int, int]


class Crowd:
    """Watchers in a process of their own."""

    def __init__(self, server: Server, job_id: str, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (server.host, server.port, f"{JOBS}/{job_id}/stream", count, theirs)
        self._process = context.Process(target=_watch, args=arguments, daemon=True)
        self._process.start()
        if self._pipe.recv() != "ready":
            raise SystemExit("the watchers could not connect")

    def arrivals(self) -> Arrivals:
        """Return what has arrived by now."""
        self._pipe.send("tell")
        found: Arrivals = self._pipe.recv()
        return found

    def leave(self) -> None:
        """Close all connections."""
        self._pipe.send("stop")
        self._process.join()


def _watch(host: str, port: int, path: str, count: int, pipe: Pipe) -> None:
    """Read `count` streams until told to stop; note when each event has come to the last of them."""
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    rest: dict[int, bytes] = {}
    for _ in range(count):
        one = socket.create_connection((host, port))
        one.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        one.setblocking(False)
        sockets[one.fileno()], rest[one.fileno()] = one, b""
        poll.register(one.fileno(), select.EPOLLIN)
    poll.register(pipe.fileno(), select.EPOLLIN)
    last: dict[int, float] = {}
    reached: Counter[int] = Counter()
    begun: set[int] = set()
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == pipe.fileno():
                if pipe.recv() == "stop":
                    return
                pipe.send(Arrivals(dict(last), dict(reached)))
                continue
            data = sockets[descriptor].recv(1 << 18)
            if not data:
                poll.unregister(descriptor)
                continue
            whole, _, rest[descriptor] = (rest[descriptor] + data).rpartition(b"\n\n")
            now = time.monotonic()
            for found in _ENDED.findall(whole):
                last[int(found)] = now
                reached[int(found)] += 1
            if whole and len(begun) < count:
                begun.add(descriptor)
                if len(begun) == count:
                    pipe.send("ready")


@contextmanager
def watching(server: Server, job_id: str, count: int) -> Iterator[Crowd | None]:
    """Have so many watchers of a job during the block."""
    crowd = Crowd(server, job_id, count) if count else None
    yield crowd
    if crowd:
        crowd.leave()


async def _told(server: Server, job_id: str, indexes: Sequence[int], every_s: float) -> dict[int, float]:
    """Report the end of benchmarks at a steady pace; return when each report was sent."""
    connection = Connection(server)
    sent = {}
    due = time.monotonic()
    for index in indexes:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        sent[index] = time.monotonic()
        await connection.expect(Ask("POST", f"{JOBS}/{job_id}/events", seed.event(index, "completed")), 204)
        due += every_s
    connection.close()
    return sent


def latencies(server: Server, count: int, events: int, every_s: float) -> tuple[list[float], float, float]:
    """Return the milliseconds to the last watcher of each event, the server's growth in MiB, and its share of a core."""
    job_id = asyncio.run(seed.open_jobs(server, 1, events + 1))[0]
    server.settle()
    before = server.memory_mib()
    with watching(server, job_id, count) as crowd:
        assert crowd is not None
        server.settle()
        cpu, began = server.cpu_s(), time.monotonic()
        sent = asyncio.run(_told(server, job_id, range(events), every_s))
        share = (server.cpu_s() - cpu) / (time.monotonic() - began)
        deadline = time.monotonic() + 60
        while True:
            arrived = crowd.arrivals()
            if len(arrived.reached) == events and set(arrived.reached.values()) == {count}:
                break
            if time.monotonic() > deadline:
                raise SystemExit(f"not every watcher was told everything: {Counter(arrived.reached.values())}")
            time.sleep(0.1)
        grown = server.memory_mib() - before
    return [(arrived.last[index] - sent[index]) * 1e3 for index in sent], grown, share


async def _ended(server: Server, job_id: str, benchmarks: int) -> float:
    """Report the end of every benchmark over several connections; return reports per second."""
    numbers = itertools.count()

    async def one() -> None:
        connection = Connection(server)
        for index in numbers:
            if index >= benchmarks:
                break
            await connection.expect(Ask("POST", f"{JOBS}/{job_id}/events", seed.event(index, "completed")), 204)
        connection.close()

    began = time.monotonic()
    await asyncio.gather(*[one() for _ in range(_CONNECTIONS)])
    return benchmarks / (time.monotonic() - began)


def throughput(server: Server, count: int, benchmarks: int, seconds: float) -> tuple[float, float, float]:
    """Return reports per second, at so many watchers: of running benchmarks (median), of ends, and CPU ms of the former."""
    running, ended = asyncio.run(seed.open_jobs(server, 2, benchmarks))
    asks = [Ask("POST", f"{JOBS}/{running}/events", seed.event(n, "running")) for n in range(50)]
    with watching(server, running, count):
        load = under_load(server, asks, _CONNECTIONS, seconds)
    with watching(server, ended, count):
        server.settle()
        ends = asyncio.run(_ended(server, ended, benchmarks - 1))  # the job goes on, and so do its watchers
    return load.per_second, ends, load.cpu_ms


def main() -> None:
    parser = argparse.ArgumentParser(description="Many watchers of one job.")
    parser.add_argument("--watchers", type=int, default=1000)
    parser.add_argument("--events", type=int, default=200, help="events of each row of the first table")
    parser.add_argument("--seconds", type=int, default=5, help="how long the load of the second table lasts")
    parser.add_argument("--rounds", type=int, default=3, help="the second table shows medians of so many")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count: int = options.watchers
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as name:
        folder = Path(name)
        seed.write_catalogue(folder / "catalogue")
        server = assay(folder, "--no-worker", "--catalog", str(folder / "catalogue"))
        try:
            rows = []
            for pace in (5, 20, 100):
                took, grown, share = latencies(server, count, options.events, 1 / pace)
                p99 = statistics.quantiles(took, n=100, method="inclusive")[98]
                rows.append(
                    [
                        str(pace),
                        *map(figure, (statistics.median(took), p99, max(took))),
                        f"{share:.0%}",
                        figure(max(grown, 0)),
                    ]
                )
            print(f"{count:,} watchers of one job, {options.events} events each row\n")
            head = ("events/s", "median ms", "p99 ms", "slowest ms", "server CPU", "memory growth MiB")
            print(markdown(head, rows), "\n")
            found: dict[int, list[tuple[float, float, float]]] = {0: [], count: []}
            for _ in range(options.rounds):
                for watchers, rounds in found.items():
                    rounds.append(throughput(server, watchers, 1000, options.seconds))
            rows = [
                [f"{watchers:,}", *(figure(statistics.median(column)) for column in zip(*rounds, strict=True))]
                for watchers, rounds in found.items()
            ]
            print(f"Reports over {_CONNECTIONS} connections while a job is watched; medians of {options.rounds} rounds\n")
            print(markdown(("watchers", "running reports/s", "ends of benchmarks/s", "CPU ms per running report"), rows))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
