"""Server processes under measurement: started, asked for their CPU time and memory, and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

_TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A server on this machine. `host` and `port` say where it answers, `start_ms` how long it took until it did."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, url: str = ""
    ) -> None:
        """Start it. Without `url` the first line it prints ends in the URL."""
        self.name = name
        began = time.perf_counter()
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=errors if url else subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        if not url:
            assert self._process.stdout is not None
            url = self._process.stdout.readline().decode().split(" on ")[-1].strip()
        if not url:
            raise SystemExit(f"{name} did not start; see {log}")
        address = urlsplit(url)
        self.url, self.host, self.port = url, address.hostname or "127.0.0.1", address.port or 80
        self.start_ms = (time.perf_counter() - began) * 1e3

    @property
    def pid(self) -> int:
        """The process whose CPU and memory are counted."""
        return self._process.pid

    def cpu_s(self) -> float:
        """Return the CPU seconds, user and system, that it has used, all threads together."""
        return sum(_ticks(self.pid)[:2]) / _TICKS

    def memory_mib(self, what: str = "VmRSS") -> float:
        """Return its resident memory in MiB; `VmHWM` for the highest so far."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(what + ":"):
                return int(line.split()[1]) / 1024
        raise SystemExit(f"{self.name} has ended")

    def settle(self, quiet_s: float = 0.3, most_s: float = 60.0) -> None:
        """Wait until it does nothing any more, so that one measurement does not pay for the one before."""
        deadline, before = time.monotonic() + most_s, -1.0
        while (now := self.cpu_s()) - before > 1 / _TICKS and time.monotonic() < deadline:
            before = now
            time.sleep(quiet_s)

    def stop(self) -> None:
        """End it and everything that it started."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.terminate()
            self._process.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds that processes have used, with those of their children that have ended."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # it has just ended, and its parent counts it
            ticks += sum(_ticks(pid))
    return ticks / _TICKS


def tree(pid: int) -> list[int]:
    """Return a process and all that it has started."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):  # it has just ended
            for children in Path(f"/proc/{one}/task").glob("*/children"):
                found += map(int, children.read_text().split())
    return found


def _ticks(pid: int) -> list[int]:
    """Return the clock ticks of a process: user, system, and both again of its children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) for field in fields[11:15]]


def assay(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Server:
    """Start Assay on a free port, with its data in `folder`/data."""
    command = [sys.executable, "-m", "assay", "serve", "--port", "0", "--data", str(folder / "data"), *arguments]
    return Server("assay", command, folder / "server.log", environment)


def practice_model(folder: Path) -> Server:
    """Start the practice model on a free port."""
    return Server("practice model", [sys.executable, "-m", "assay", "practice-model", "--port", "0"], folder / "model.log")
