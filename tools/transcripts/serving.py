"""A server of the tool's own, in a folder that goes with it, and a worker when the record needs one."""

from __future__ import annotations

import contextlib
import http.client
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

ADAPTER = f"exec {shlex.quote(sys.executable)} {shlex.quote(str(Path(__file__).with_name('adapter.py')))}"
"""The command of the record's provider."""

_READY = "assay ready on "
_STOP_S = 30
_PATIENCE_S = 60
_WORKER_KEY = "key-of-the-replay"


class Server:
    """A running server."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder
        self._worker: subprocess.Popen[bytes] | None = None

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, dict[str, str], str]:
        """Send a request exactly as it is; return status, headers (names in lower case) and body."""
        at = urlsplit(self._url)
        connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=_PATIENCE_S)
        try:
            connection.request(method, target, body, dict(headers))
            reply = connection.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read().decode()
        finally:
            connection.close()

    def start_worker(self) -> None:
        """Start a worker, if there is none."""
        if self._worker is None:
            command = [
                sys.executable,
                "-m",
                "assay",
                "worker",
                "--server",
                self._url,
                "--data",
                str(self._folder / "worker"),
            ]
            with (self._folder / "worker.log").open("w") as log:
                self._worker = subprocess.Popen(command, env=_environment(), stdout=log, stderr=log)

    def stop_worker(self) -> None:
        """Kill the worker, if there is one: what it held stays as it is, for the record still shows it running."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()
            self._worker = None


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Run a server on a free port until the end of the block."""
    command = [sys.executable, "-m", "assay", "serve", "--port", "0", "--no-worker", "--data", str(folder / "data")]
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line.startswith(_READY):
            raise SystemExit(f"The server did not start: {line}{(folder / 'serve.log').read_text()[-2000:]}")
        server = Server(line.removeprefix(_READY).strip(), folder)
        try:
            yield server
        finally:
            server.stop_worker()
    finally:
        _stop(process)


def _environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
    # A run that ends without a word must not fail before the record has looked at it, nor one whose worker is gone.
    patience = {"ASSAY_GRACE_SECONDS": "300", "ASSAY_LEASE_SECONDS": "600"}
    return {**inherited, **patience, "ASSAY_WORKER_KEY": _WORKER_KEY, "ASSAY_SLOTS": "4"}


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
