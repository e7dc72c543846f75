"""The long campaign: `python -m tests.chaos --faults 500`, on both stores one after the other."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
from pathlib import Path

from .campaign import Options, Violated, run


def main() -> int:
    """Run the campaigns that the command line asks for; return 1 if anything was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--store", choices=("sqlite", "postgres", "both"), default="both", help="what the jobs are kept in")
    parser.add_argument("--faults", type=int, default=500, help="how many faults befall each store (%(default)s)")
    parser.add_argument(
        "--seed", type=int, help="decides which faults, and what users do; printed (default: another each time)"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="longest time of faults for each store (%(default)g)")
    parser.add_argument("--gap", type=float, default=0.8, help="mean seconds between two faults (%(default)g)")
    parser.add_argument("--fair-share", action="store_true", help="check the bound of the fair share between tenants too")
    parser.add_argument("--keep", type=Path, help="an empty folder in which everything is left for a look afterwards")
    asked = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # whatever happens, networks, disks and processes are taken away again
        signal.signal(number, lambda *_: sys.exit(1))
    seed = secrets.randbelow(1 << 31) if asked.seed is None else asked.seed
    failed = 0
    for store in ("sqlite", "postgres") if asked.store == "both" else (asked.store,):
        options = Options(store, seed, asked.faults, asked.minutes, asked.gap, asked.fair_share)
        with tempfile.TemporaryDirectory(prefix="assay-chaos-", ignore_cleanup_errors=True) as temporary:
            folder = (asked.keep or Path(temporary)) / store
            folder.mkdir(parents=True)
            try:
                run(folder, options, lambda text: print(text, flush=True))
            except Violated as violated:
                print(violated, flush=True)
                failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
