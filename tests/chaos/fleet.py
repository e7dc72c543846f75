"""What is put under stress: servers and workers on one store, each with a disk, a clock and a network of its own."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.postgres import Cluster, cluster
from tests.redis_server import RedisServer, redis_server
from tests.server import catalogue
from tests.system.deployment import Deployment, Program, RemoteWorker, practice_model, wait_until

from .clocks import Clock
from .disks import Disk, mountable
from .journal import Journal
from .networks import Link, Network, Relay, namespaces_work
from .plan import GRACE_S, LEASE_S

_KEY = "the key of the workers of a chaos campaign"
_MODEL_PORT = 8400
_SERVER_DISK_MB, _WORKER_DISK_MB = 256, 64
BENCHMARKS = ("a", "b", "c", "d")
_ADAPTER = Path(__file__).with_name("adapter.py")


@dataclass
class Part:
    """A server or a worker, with what surrounds it."""

    program: Program
    clock: Clock
    disk: Disk | None
    link: Link | None = None
    down: threading.Event = field(default_factory=threading.Event)
    """Set while a fault keeps it from running, so that nobody else starts it."""

    def start(self, patience_s: float = 60.0) -> None:
        """Start it, however often that takes: the fault of another part may be in the way."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                self.program.start()
                return
            except AssertionError:
                self.program.kill()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


@dataclass
class Fleet:
    """All parts, by name, and what they share."""

    folder: Path
    journal: Journal
    servers: dict[str, Part]
    workers: dict[str, Part]
    model_url: str
    notes: Path
    database: Cluster | None = None
    url: str = ""
    """Of the database, past every relay; empty for SQLite."""
    links: dict[str, Relay] = field(default_factory=dict)
    """From each server to the database."""
    redis: RedisServer | None = None

    @property
    def deployments(self) -> list[Deployment]:
        """The servers, as users see them."""
        return [part.program for part in self.servers.values() if isinstance(part.program, Deployment)]

    @property
    def slots(self) -> int:
        """How many runs are executed at once, by all workers."""
        return sum(part.program.slots for part in self.workers.values() if isinstance(part.program, RemoteWorker))

    def targets(self) -> dict[str, list[str]]:
        """Return what a fault may befall, by sort."""
        workers = list(self.workers)
        found = {"server": list(self.servers), "worker": workers, "host": workers, "engine": workers, "guard": workers}
        if self.database:
            found |= {"database": ["postgres"], "store link": list(self.links)}
        if self.redis:
            found |= {"redis": ["redis"]}
        return found

    def part(self, name: str) -> Part:
        """Return a part by its name."""
        return {**self.servers, **self.workers}[name]


@contextlib.contextmanager
def fleet(folder: Path, store: str, journal: Journal) -> Iterator[Fleet]:
    """Run one server with SQLite, or two with PostgreSQL and Redis, and two workers, until the end of the block."""
    with contextlib.ExitStack() as stack:
        database, url, links, redis = None, "", {}, None
        if store == "postgres":
            database = stack.enter_context(cluster(durable=True))
            url = database.url(database.create_database())
            redis = stack.enter_context(redis_server())
            links = {name: stack.enter_context(Relay(("127.0.0.1", database.port))) for name in ("server-a", "server-b")}
        network = stack.enter_context(Network()) if namespaces_work() else None
        notes = folder / "notes"
        notes.mkdir()
        written = _catalogue(folder / "catalogue", notes)
        servers = {
            name: _server(stack, folder, name, written, network, links.get(name), url, redis)
            for name in (links or ["server"])
        }
        made = Fleet(folder, journal, servers, {}, "", notes, database, url, links, redis)
        for part in servers.values():
            stack.callback(_end, part.program)
            part.start()
        addresses = [one.url for one in made.deployments]
        for number, name in enumerate(("worker-a", "worker-b")):
            part, made.model_url = _worker(stack, folder, name, addresses[number % len(addresses)], network)
            made.workers[name] = part
            stack.callback(_end, part.program)
            part.start()
        stack.enter_context(_supervised(made))
        yield made


def _catalogue(folder: Path, notes: Path) -> Path:
    run = f"exec {sys.executable} -I -S {_ADAPTER}"
    return catalogue.write(
        folder,
        catalogue.provider("known", f"{run} work", *map(catalogue.benchmark, BENCHMARKS)),
        catalogue.provider("by-hand", f"{run} stand {notes}", catalogue.benchmark("told")),
    )


def _surrounded(stack: contextlib.ExitStack, folder: Path, name: str, mebibytes: int) -> tuple[Path, Clock, Disk | None]:
    """Return a data folder, on a disk of its own where that can be, and a clock."""
    place = folder / name
    disk = stack.enter_context(Disk(place, mebibytes)) if mountable() else None
    place.mkdir(exist_ok=True)
    return place / "data", Clock(folder / f"{name}.clock"), disk


def _server(
    stack: contextlib.ExitStack,
    folder: Path,
    name: str,
    written: Path,
    network: Network | None,
    link: Relay | None,
    url: str,
    redis: RedisServer | None,
) -> Part:
    data, clock, disk = _surrounded(stack, folder, name, _SERVER_DISK_MB)
    settings = {
        "ASSAY_LEASE_SECONDS": f"{LEASE_S:g}",
        "ASSAY_GRACE_SECONDS": f"{GRACE_S:g}",
        "ASSAY_WORKER_KEY": _KEY,
        **clock.environment,
    }
    if link:
        before, _, after = url.rpartition("@")
        settings["ASSAY_DATABASE"] = f"{before}@127.0.0.1:{link.port}/{after.partition('/')[2]}"
    if redis:
        settings["ASSAY_REDIS"] = redis.url
    # Namespaces reach an address of this machine alone; nobody outside does.
    listen = ("--host", network.address, "--open-access") if network else ()
    program = Deployment(data, "--no-worker", "--catalog", str(written), *listen, environment=settings)
    program.patience_s = LEASE_S * 2
    program.log = folder / f"{name}.log"
    return Part(program, clock, disk, link)


def _worker(stack: contextlib.ExitStack, folder: Path, name: str, server: str, network: Network | None) -> tuple[Part, str]:
    """Return a worker, and where models are for it: in its own network, so that a cut is one from the server alone."""
    data, clock, disk = _surrounded(stack, folder, name, _WORKER_DISK_MB)
    link: Link
    prefix: tuple[str, ...] = ()
    port = 0
    if network:
        link = space = network.namespace()
        prefix, port = space.prefix, _MODEL_PORT
    else:
        host, _, number = server.removeprefix("http://").rpartition(":")
        link = relay = stack.enter_context(Relay((host, int(number))))
        server = f"http://127.0.0.1:{relay.port}"
    model = stack.enter_context(practice_model("--latency-ms", "40", prefix=prefix, port=port))
    program = RemoteWorker(data, server, name, _KEY, slots=3, environment=dict(clock.environment), prefix=prefix)
    program.log = folder / f"{name}.log"
    return Part(program, clock, disk, link), model


def _end(program: Program) -> None:
    if program.runs:
        with contextlib.suppress(Exception):
            program.end(10)
    if program.process is not None:
        program.kill()
    for pid in program.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)


@contextlib.contextmanager
def _supervised(made: Fleet) -> Iterator[None]:
    """Start again what ends by itself, as an init system would, and note that it did."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            for name, part in {**made.workers, **made.servers}.items():
                if part.program.runs or part.down.is_set():
                    continue
                assert part.program.process is not None
                text = part.program.log.read_text(errors="replace")[-1500:]
                made.journal.note("ended by itself", part=name, code=part.program.process.returncode, log=text)
                with contextlib.suppress(AssertionError):
                    part.start(0)

    thread = threading.Thread(target=look, name="supervisor", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def whole_again(made: Fleet, patience_s: float = 120.0) -> None:
    """Wait until every server answers and every worker runs, once the faults are over."""

    def answers(one: Deployment) -> Callable[[], bool]:
        def ask() -> bool:
            try:
                return bool(one.request("GET", "/api/v1/health")[0] == 200)
            except OSError:
                return False

        return ask

    for one in made.deployments:
        wait_until(answers(one), patience_s, f"a healthy answer of {one.url}")
    for part in made.workers.values():
        wait_until(lambda program=part.program: program.runs, patience_s, "a worker that runs")  # type: ignore[misc]
