"""An hour of load: whether the memory of server and worker stays flat.

    python -m benchmarks.soak [--minutes 60] [--database postgresql] [--rate 1.5] [--most 10]

`assay serve` with its worker has users come at a steady pace (`soak_users`), each with a job of a few runs; where too many
are there, the next one waits. What the server keeps of rendered documents is bounded, and is filled up before the time
begins: else hours of it would look like a leak. Jobs are kept for a sixth of the time, so that the database stays as large
as it is. The exit status is 1 if the memory of server or worker grew by more than `--most` MiB/h over the last two thirds of
the time, if either was started again or holds more descriptors than before, or if anything was answered or ended other than
it should. Of a few minutes the slope says nothing: raise `--most` there.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.postgres import cluster

from assay import eventloop
from benchmarks.load import Ask, Connection
from benchmarks.pace import progress
from benchmarks.processes import ROLES, STEADY, Held, Processes
from benchmarks.seed import fill
from benchmarks.servers import Server, assay, practice_model
from benchmarks.soak_users import WAITING, User, submission, write_catalogue
from benchmarks.table import markdown

_EVERY_S = 5.0
_CLEAN_S = 60.0
_PARTS = 12
_MOST_USERS = 24
"""At a time."""
_FILLED = 28_000
_DESCRIPTION = "what this job is about " * 50
"""Makes documents of about the size of those of users; as many as are filled in are more than the server keeps."""
_MOST_DESCRIPTORS = 10
"""More than before, once all users have gone."""
_SHOWN, _MOST_WRONG = 20, 200
"""Of what went wrong: what is told, and what ends the soak."""
_HEAD = ("minutes", *(f"{role} {what}" for role in ROLES for what in ("RSS", "private", "fds")), "guards", "database MiB",
         "requests", "jobs", "runs", "users late")  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """What the processes held at a moment, `hours` after the beginning; all guards together."""

    hours: float
    held: dict[str, Held]


class Soak:
    """Puts a server under load and watches its processes."""

    def __init__(self, server: Server, model_url: str, rate: float, lasts_s: float) -> None:
        self._server, self._model_url, self._rate, self._lasts_s = server, model_url, rate, lasts_s
        self._began = 0.0
        self._processes = Processes(server)
        self._samples: list[Sample] = []
        self.done: Counter[str] = Counter()
        """What users did."""
        self.wrong: list[str] = []
        """What went wrong, a line each."""
        self.rows: list[list[str]] = []
        """Of the table."""

    async def run(self) -> None:
        """Fill the server, have users for as long as it lasts, and wait until all have gone."""
        bodies = [submission(f"fill-{n}", WAITING, self._model_url, _DESCRIPTION) for n in range(_FILLED)]
        progress(f"started: {self._server.memory_mib():.0f} MiB")
        await fill(self._server, bodies)
        progress(f"filled: {self._server.memory_mib():.0f} MiB")
        progress(" | ".join(_HEAD))
        self._server.settle()
        self._began = time.monotonic()
        before = self._look()
        await self._row("before", [before])
        watching = asyncio.create_task(self._watch())
        await self._have_users()
        await eventloop.end(watching)
        if not watching.cancelled():
            watching.result()
        self._server.settle()
        after = self._look()
        await self._row("after", [after])
        for role in STEADY:
            if (more := after.held[role].descriptors - before.held[role].descriptors) > _MOST_DESCRIPTORS:
                self.wrong.append(f"the {role} holds {more} descriptors more than before")
            if len(self._processes.pids[role]) > 1:
                self.wrong.append(f"the {role} was started again")

    def slopes(self) -> dict[str, float]:
        """Return the growth of each role's resident memory in MiB/h: least squares over the last two thirds of the time."""
        late = [sample for sample in self._samples if sample.hours * 3600 >= self._lasts_s / 3]
        hours = [sample.hours for sample in late]
        return {role: statistics.linear_regression(hours, [one.held[role].resident for one in late]).slope for role in ROLES}

    async def _have_users(self) -> None:
        """Have users come at a steady pace, and wait until the last has gone."""
        room = asyncio.Semaphore(_MOST_USERS)

        async def visit(number: int) -> None:
            if wrong := await User(self._server, self._model_url, number, self.done).visit():
                self.wrong.append(wrong)
                progress(wrong)
            room.release()

        due = self._began
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                if room.locked():
                    self.done["late"] += 1
                await room.acquire()
                due = max(due + 1 / self._rate, time.monotonic())  # what was missed is not caught up with
                await asyncio.sleep(due - time.monotonic())
                if due - self._began > self._lasts_s or len(self.wrong) > _MOST_WRONG:
                    break
                group.create_task(visit(number))

    async def _watch(self) -> None:
        """Look at the processes again and again, as a monitor does, and have the server clean up now and then."""
        part_s = self._lasts_s / _PARTS
        connection, cleaned, part = Connection(self._server), 0.0, list[Sample]()
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                part.append(self._look())
                for path in ("/metrics", "/api/v1/health", "/api/v1/workers"):
                    await self._expect(connection, Ask("GET", path), 200)
                if time.monotonic() - cleaned > _CLEAN_S:
                    await self._expect(connection, Ask("POST", "/api/v1/cleanup"), 202)
                    cleaned = time.monotonic()
            except (OSError, EOFError) as error:
                self.wrong.append(f"the server could not be asked: {type(error).__name__} {error}")
                connection.close()
                continue
            self._samples.append(part[-1])
            if part[-1].hours * 3600 >= part_s * len(self.rows) and len(self.rows) <= _PARTS:
                await self._row(f"{part_s * len(self.rows) / 60:.3g}", part)
                part = []

    async def _expect(self, connection: Connection, request: Ask, status: int) -> bytes:
        self.done["requests"] += 1
        found, body = await connection.ask(request)
        if found != status:
            self.wrong.append(f"{request.method} {request.path} gave {found}, not {status}: {body[:300]!r}")
        return body

    def _look(self) -> Sample:
        return Sample((time.monotonic() - self._began) / 3600, self._processes.held())

    async def _row(self, name: str, samples: Sequence[Sample]) -> None:
        """Add a row to the table: medians of the samples, and what was done so far."""
        connection = Connection(self._server)
        usage = json.loads(await self._expect(connection, Ask("GET", "/api/v1/usage"), 200))
        connection.close()
        cells = [name]
        for role in ROLES:
            found = [sample.held[role] for sample in samples]
            cells += [f"{statistics.median(one.resident for one in found):.1f}"]
            cells += [f"{statistics.median(one.private for one in found):.1f}"]
            cells += [f"{statistics.median(one.descriptors for one in found):.0f}"]
        cells += [f"{statistics.median(sample.held['guards'].processes for sample in samples):.0f}"]
        cells += [f"{usage['database_bytes'] / 2**20:.1f}"]
        cells += [f"{self.done[what]:,}" for what in ("requests", "jobs", "runs", "late")]
        self.rows.append(cells)
        progress(" | ".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description="Whether memory stays flat under load.")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rate", type=float, default=1.5, help="users (with a job each) a second")
    parser.add_argument("--most", type=float, default=10, help="how much server and worker may grow, in MiB/h")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-bench-")))
        write_catalogue(folder / "catalogue")
        environment = {"ASSAY_ENGINE_HOST": "off", "ASSAY_KEEP_JOBS_DAYS": f"{options.minutes / 6 / 1440:.6f}"}
        if options.database == "postgresql":
            postgres = stack.enter_context(cluster(durable=True))
            environment["ASSAY_DATABASE"] = postgres.url(postgres.create_database())
        model = practice_model(folder)
        stack.callback(model.stop)
        server = assay(folder, "--catalog", str(folder / "catalogue"), environment=environment)
        stack.callback(server.stop)
        soak = Soak(server, model.url, options.rate, options.minutes * 60)
        eventloop.run(soak.run())
        lines = (folder / "server.log").read_text(errors="replace").splitlines()
    soak.wrong += [f"the log says: {line}" for line in lines if " ERROR " in line or line.startswith("Traceback")]
    print(f"{options.minutes:g} minutes on {options.database}; RSS and private memory in MiB, medians\n")
    print(markdown(_HEAD, soak.rows))
    slopes = soak.slopes()
    told = ", ".join(f"{role} {slope:+.2f}" for role, slope in slopes.items())
    print(f"\nRSS over the last two thirds of the time, MiB/h: {told}; at most {options.most:g} for server and worker")
    others = (f"{count:,} {what}" for what, count in soak.done.items() if what in ("messages", "deleted"))
    print(f"Besides: {', '.join(others)}, {sum(' WARNING ' in line for line in lines)} warnings in the log")
    soak.wrong += [f"the {role} grows by {slopes[role]:.1f} MiB/h" for role in STEADY if slopes[role] > options.most]
    for line in soak.wrong[:_SHOWN]:
        print(f"- {line}")
    print(f"{len(soak.wrong)} things went wrong" if soak.wrong else "Nothing went wrong")
    sys.exit(1 if soak.wrong else 0)


if __name__ == "__main__":
    main()
