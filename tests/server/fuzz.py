"""Sends thousands of requests made from the API's own description to a server of its own: `python -m tests.server.fuzz`.

Every operation gets its share, workers' included, valid and invalid; a tenth walks along the links. Ends with 1 if an
answer was not one that is described, or was a 5xx, or the server's log has a traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup

from assay.server.table import ROUTES
from tests.postgres import cluster
from tests.server import catalogue
from tests.server.acting import KEY
from tests.server.described import Fuzzer
from tests.server.serving import Served, serving


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="repeats a run")
    parser.add_argument("--postgresql", action="store_true", help="on a PostgreSQL server of its own, not on SQLite")
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {"ASSAY_MAX_WEBHOOKS": "-1", "ASSAY_WORKER_KEY": KEY, "ASSAY_LEASE_SECONDS": "600"}
        if asked.postgresql:
            settings["ASSAY_DATABASE"] = stack.enter_context(stack.enter_context(cluster()).database())
        written = catalogue.write(folder / "catalogue", catalogue.provider("manual", "true"))
        served = stack.enter_context(serving(folder, "--catalog", str(written), worker=False, **settings))
        return _fuzz(served, asked.cases, asked.seed)


def _fuzz(served: Served, cases: int, seed: int) -> int:
    fuzzer, failures, began, run = Fuzzer(served.api), [], time.monotonic(), 0
    before = _resident(served)
    share = max(10, cases * 9 // 10 // (2 * len(ROUTES)))

    def attempt(what: str, act: Callable[[], None]) -> None:
        try:
            act()
        except (Exception, FailureGroup) as error:
            failures.append(what)
            sys.stdout.write(f"{what}: {error}\n")

    while fuzzer.cases < cases:
        rounds = fuzzer.cases
        for route in ROUTES:
            operation = fuzzer.schema[route.path][route.method]
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                what = f"{route.name}, {mode.name.lower()}, seed {seed + run}"
                attempt(what, partial(fuzzer.ask, operation, mode, share, seed + run))
        attempt(f"walk, seed {seed + run}", partial(fuzzer.follow, max(5, cases // 200), 20, seed + run))
        run += 1
        share = max(10, min(share, (cases - fuzzer.cases) // (2 * len(ROUTES))))
        sys.stdout.write(f"{fuzzer.cases} cases after {time.monotonic() - began:.0f} s\n")
        assert fuzzer.cases > rounds
    for route in ROUTES:
        got = Counter({status: count for (name, status), count in fuzzer.answers.items() if name == route.name})
        sys.stdout.write(f"{route.name:20} " + "  ".join(f"{status}: {got[status]}" for status in sorted(got)) + "\n")
    tracebacks = served.log.read_text().count("Traceback")
    errors = sum(count for (_, status), count in fuzzer.answers.items() if status >= 500)
    sys.stdout.write(
        f"seed {seed}: {fuzzer.cases} cases, {len(ROUTES)} operations, {len(fuzzer.answers)} different answers in "
        f"{time.monotonic() - began:.0f} s; {errors} server errors, {len(failures)} failures, {tracebacks} tracebacks; "
        f"the server grew from {before} to {_resident(served)} MiB\n"
    )
    return 1 if failures or errors or tracebacks else 0


def _resident(served: Served) -> int:
    """Return the memory of the server in MiB."""
    pages = int(Path(f"/proc/{served.process.pid}/statm").read_text().split()[1])
    return pages * 4096 >> 20


if __name__ == "__main__":
    sys.exit(main())
