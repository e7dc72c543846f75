"""Runs `assay serve` as a process in a folder of its own, as a user would."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.server.client import Api

READY = "assay ready on "
_STOP_S = 30.0


@dataclass(frozen=True)
class Served:
    """A running server: its client, its process, its data folder and its log."""

    api: Api
    process: subprocess.Popen[str]
    data: Path
    log: Path


@contextlib.contextmanager
def serving(folder: Path, *flags: str, worker: bool = False, **environment: str) -> Iterator[Served]:
    """Run a server on a free port until the end of the block; it must then stop when it is asked to."""
    data, log = folder / "data", folder / "serve.log"
    command = [sys.executable, "-m", "assay", "serve", "--port", "0", "--data", str(data), *flags]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
    with log.open("w") as errors:
        process = subprocess.Popen(
            command if worker else [*command, "--no-worker"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**inherited, **environment},
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(READY), line + log.read_text()[-2000:]
        yield Served(Api(line.removeprefix(READY).strip()), process, data, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(_STOP_S) == 0, log.read_text()[-2000:]
    finally:
        process.kill()
        process.wait()
