"""A real MLflow server in an environment of its own, and what tests ask it directly."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

VERSION = "3.17.2"
_START_S = 180.0


def cache() -> Path:
    """Return the folder in which tests keep what they install."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "assay-tests"


def installed() -> Path:
    """Return the `mlflow` program, installed once for all test processes; raise when that fails."""
    home = cache() / f"mlflow-{VERSION}"
    home.mkdir(parents=True, exist_ok=True)
    program = home / "venv" / "bin" / "mlflow"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "ready").exists():
            uv = [found] if (found := shutil.which("uv")) else [sys.executable, "-m", "uv"]
            shutil.rmtree(home / "venv", ignore_errors=True)
            subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(home / "venv")], check=True)
            python = str(home / "venv" / "bin" / "python")
            subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, f"mlflow=={VERSION}"], check=True)
            (home / "ready").touch()
    return program


@dataclass(frozen=True)
class MlflowUnderTest:
    """A running MLflow server, asked without Assay. `headers` go with every question."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def ask(self, path: str, body: Any = None) -> Any:
        """Return the JSON that a call answers with; without a body it is a GET."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **self.headers}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers), timeout=60) as answer:
            return json.load(answer)

    def experiment(self, name: str) -> dict[str, Any]:
        """Return an experiment by its name, its tags as a mapping."""
        found = self.ask(f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={quote(name)}")["experiment"]
        return {**found, "tags": {tag["key"]: tag["value"] for tag in found.get("tags", [])}}

    def runs(self, experiment_id: str) -> list[dict[str, Any]]:
        """Return the runs of an experiment."""
        found = self.ask("/api/2.0/mlflow/runs/search", {"experiment_ids": [experiment_id], "max_results": 1000})
        return list(found.get("runs", []))

    def artifact(self, run_id: str, path: str) -> bytes:
        """Return the content of an artifact of a run."""
        request = urllib.request.Request(
            f"{self.url}/get-artifact?run_uuid={run_id}&path={quote(path)}", headers=dict(self.headers)
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())


@contextlib.contextmanager
def mlflow_server(folder: Path, *flags: str) -> Iterator[MlflowUnderTest]:
    """Run an MLflow server with all its data in `folder` until the end of the block."""
    program, port = installed(), _free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(program), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts")]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, *flags],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=inherited | quiet,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process, log)
        yield MlflowUnderTest(url)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it has children of its own, which would outlive it
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(OSError, urllib.error.URLError),
            urllib.request.urlopen(f"{url}/health", timeout=5) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the MLflow server does not answer:\n" + log.read_text()[-3000:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
