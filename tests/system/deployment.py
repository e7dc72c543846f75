"""A deployment to test: servers and workers, each in a folder of its own, that can be killed and started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.config import data_dir, engines_dir

TERMINAL = {"completed", "failed", "cancelled", "partially_failed"}


def wait_until(
    condition: Callable[[], Any], timeout_s: float = 60.0, what: str = "the condition", every_s: float = 0.02
) -> Any:
    """Return the first true value of `condition`, asked every `every_s`; fail after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(every_s)
    raise AssertionError(f"{what} did not come within {timeout_s:g} s")


class Program:
    """A program of Assay with a data folder of its own, that can be killed and started again.

    `prefix`: words before its command, such as those that put it into a network of its own.
    """

    def __init__(self, data: Path, environment: Mapping[str, str] | None = None, prefix: Sequence[str] = ()) -> None:
        self.data = data
        self.prefix = tuple(prefix)
        self.process: subprocess.Popen[str] | None = None
        self.log = data.with_name(data.name + ".log")
        self._environment = {**os.environ, **(environment or {})}

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it."""
        raise NotImplementedError

    def kill(self) -> None:
        """Kill it as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self, patience_s: float = 20.0) -> None:
        """Stop it as a user would; kill it when it does not heed."""
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(patience_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    def processes(self) -> dict[int, str]:
        """Return every worker on its data folder and whatever that started: pid to command line."""
        marked, data = f"@{self.data.resolve()}".encode(), str(self.data).encode()
        found = {}
        for pid, environment, command in running():
            entries = environment.split(b"\0")
            is_worker = "assay\0worker" in command and b"ASSAY_DATA=" + data in entries
            if is_worker or any(one.startswith(b"ASSAY_WORKER=") and one.endswith(marked) for one in entries):
                found[pid] = command.replace("\0", " ")
        return found

    def workers(self) -> list[int]:
        """Return the worker's pid, if one runs."""
        return [pid for pid, command in self.processes().items() if "assay worker" in command]

    def engine_hosts(self) -> list[int]:
        """Return the pids of engine hosts (not their children)."""
        hosts = [pid for pid, command in self.processes().items() if "inside" in command and " host " in command]
        return [pid for pid in hosts if parent(pid) not in hosts]

    def guards(self) -> list[int]:
        """Return the pids of the guards below which programs are started, and of the process that forks those."""
        return [pid for pid, command in self.processes().items() if "launch/__main__" in command]

    def engines(self) -> list[int]:
        """Return the pids of engines at work: whatever is no worker, no engine host and no guard."""
        others = {*self.engine_hosts(), *self.workers(), *self.guards()}
        return [pid for pid in self.processes() if pid not in others]

    def left_of_runs(self) -> list[Path]:
        """Return what is left in the run folders of the workers on its data folder."""
        folders = [folder for folder in (self.data / "runs").glob("*") if folder.is_dir()]
        return [path for folder in folders for path in folder.iterdir()]

    def _launch(self, arguments: Sequence[str], stdout: int | None) -> subprocess.Popen[str]:
        with self.log.open("a") as log:
            return subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "assay", *arguments],
                stdout=log if stdout is None else stdout,
                stderr=log,
                text=True,
                env=self._environment,
                start_new_session=True,
            )


class RemoteWorker(Program):
    """A worker that no server started, with a data folder of its own."""

    def __init__(
        self,
        data: Path,
        server: str,
        name: str,
        key: str,
        slots: int = 1,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        engines = str(engines_dir(data_dir()))  # which would otherwise be looked for in its data folder
        more = {"ASSAY_WORKER_KEY": key, "ASSAY_DATA": str(data), "ASSAY_ENGINES_DIR": engines, **(environment or {})}
        super().__init__(data, more, prefix)
        self.name, self.slots = name, slots
        self._arguments = ("worker", "--server", server, "--name", name, "--slots", str(slots))

    def start(self) -> None:
        """Start the worker; it registers as soon as it can."""
        self.process = self._launch(self._arguments, None)


class Deployment(Program):
    """One server, with its worker unless its arguments say otherwise, its data folder and its settings."""

    patience_s = 30.0
    """With one request."""

    def __init__(
        self,
        data: Path,
        *arguments: str,
        port: int = 0,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        super().__init__(data, environment, prefix)
        self._arguments = arguments
        self._port = port
        self.url = ""

    def start(self) -> None:
        """Start the server and wait until it answers; on the same port as before."""
        arguments = ("serve", "--port", str(self._port), "--data", str(self.data), *self._arguments)
        self.process = self._launch(arguments, subprocess.PIPE)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("assay ready on "), line + self.log.read_text()[-2000:]
        self.url = line.removeprefix("assay ready on ").strip()
        self._port = int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        """Stop the server as a user would, and see that nothing is left behind."""
        self.end()
        wait_until(lambda: not self.processes(), 10, "the end of all processes")

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Return status and decoded answer (text where it is not JSON). Raises OSError while the server is down."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self.patience_s) as response:
                status, answer = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, answer = error.code, error.read()
        try:
            return status, json.loads(answer)
        except ValueError:
            return status, answer.decode(errors="replace")

    def submit(self, benchmarks: list[dict[str, Any]], model_url: str, **more: Any) -> str:
        """Submit a job and return its id."""
        body = {"name": "j", "model": {"url": model_url, "name": "practice"}, "benchmarks": benchmarks} | more
        status, answer = self.request("POST", "/api/v1/evaluations/jobs", body)
        assert status == 202, answer
        return str(answer["resource"]["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job's document."""
        status, answer = self.request("GET", f"/api/v1/evaluations/jobs/{job_id}")
        assert status == 200, answer
        return dict(answer)

    def ended(self, job_id: str, timeout_s: float = 120.0) -> dict[str, Any]:
        """Return a job's document once the job has ended."""

        def look() -> dict[str, Any] | None:
            document = self.job(job_id)
            return document if document["status"]["state"] in TERMINAL else None

        found: dict[str, Any] = wait_until(look, timeout_s, f"the end of job {job_id}")
        return found

    def at_work(self, job_id: str) -> bool:
        """Return whether a job is not known to have ended."""
        with contextlib.suppress(OSError):
            status, answer = self.request("GET", f"/api/v1/evaluations/jobs/{job_id}")
            return status != 200 or answer["status"]["state"] not in TERMINAL
        return True


def running() -> Iterator[tuple[int, bytes, str]]:
    """Yield every process that is no zombie: pid, environment, command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    yield int(entry.name), (entry / "environ").read_bytes(), (entry / "cmdline").read_text()


def parent(pid: int) -> int:
    """Return the parent of a process, 0 if it is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def kill(pid: int) -> None:
    """Kill a process that may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def practice_model(*arguments: str, prefix: Sequence[str] = (), port: int = 0, **environment: str) -> Iterator[str]:
    """Run the practice model; yield its base URL. `prefix`: words before its command."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "assay", "practice-model", "--port", str(port), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip().removeprefix("practice model ready on ")
    finally:
        process.kill()
        process.wait()
