"""Instructions that a run costs which is taken and ended on SQLite: a figure that no neighbour of the machine changes.

    python -m benchmarks.instructions [--per-job 10] [--runs 500] [--json FILE]

valgrind counts them (Debian: `apt-get install valgrind`) in a process that takes and ends `--runs` runs, and in one that
does it three times; the difference is what they cost. Instructions are no time: what waits for the disk or for memory
costs few. They tell whether a change has spared work where times of a shared machine tell nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from assay import eventloop
from assay.store.sqlite import SqliteStore
from benchmarks.pace import Watch
from benchmarks.queue_store import HandingOver, StoreContender
from benchmarks.table import figure, markdown

_ONE_BY_ONE = "end and next at once"
_WAYS = {"in batches": StoreContender, _ONE_BY_ONE: HandingOver}
_TIMES = (1, 3)


async def _drain(way: str, per_job: int, runs: int, times: int) -> None:
    """Take and end runs of a new store, so many at once or one after another."""
    with tempfile.TemporaryDirectory(prefix="assay-instructions-") as folder:
        store = SqliteStore(Path(folder) / "assay.db")
        contender = _WAYS[way](store, per_job)
        await contender.fill(runs * max(_TIMES))
        await contender.drain(1, Watch(runs * times), 1 if way == _ONE_BY_ONE else runs)
        await store.close()


async def _counted(valgrind: str, way: str, options: argparse.Namespace, times: int) -> int:
    """Return the instructions of a process that does it."""
    given = ["--per-job", str(options.per_job), "--runs", str(options.runs), "--child", way, "--times", str(times)]
    words = [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, "-m", __spec__.name, *given]
    child = await asyncio.create_subprocess_exec(*words, stderr=subprocess.PIPE)
    _, told = await child.communicate()
    found = re.search(rb"Collected : (\d+)", told)
    if child.returncode or not found:
        raise SystemExit(f"valgrind failed: {told.decode(errors='replace')[-2000:]}")
    return int(found[1])


async def _measure(valgrind: str, options: argparse.Namespace) -> dict[str, float]:
    found = {}
    for way in _WAYS:
        once, thrice = await asyncio.gather(*(_counted(valgrind, way, options, times) for times in _TIMES))
        found[way] = (thrice - once) / (options.runs * (_TIMES[1] - _TIMES[0]))
    return found


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Instructions that a run costs which is taken and ended on SQLite.")
    parser.add_argument("--per-job", type=int, default=10, help="runs of a job")
    parser.add_argument("--runs", type=int, default=500, help="runs of a batch")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--child", choices=_WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--times", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        eventloop.run(_drain(options.child, options.per_job, options.runs, options.times))
        return
    valgrind = shutil.which("valgrind")
    if not valgrind:
        raise SystemExit("valgrind is not on this machine: install it (Debian: apt-get install valgrind).")
    found = asyncio.run(_measure(valgrind, options))
    print(f"## Instructions\n\nOf a run on SQLite, in jobs of {options.per_job}; {options.runs} runs a batch.\n")
    print(markdown(("way", "thousand instructions/run"), [[way, figure(count / 1000)] for way, count in found.items()]))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
