"""A server with a worker, and what tests ask of its processes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.server.client import JOBS, Api
from tests.server.serving import Served

TERMINAL = ("completed", "failed", "cancelled", "partially_failed")
PATIENCE_S = 60.0


def until(condition: Callable[[], Any], what: str = "it", patience_s: float = PATIENCE_S) -> Any:
    """Return the first true value of `condition`."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what} did not come within {patience_s:g} s")


@dataclass(frozen=True)
class Live:
    """A running server with a worker."""

    served: Served
    grace_s: float

    @property
    def api(self) -> Api:
        return self.served.api

    def steps(self, *steps: list[Any], **members: Any) -> str:
        """Submit a job whose adapter takes these steps; return its id."""
        return self.several(list(steps), **members)

    def several(self, *programs: list[list[Any]], **members: Any) -> str:
        """Submit a job with a benchmark for each list of steps."""
        benchmarks = [{"id": "b0", "provider_id": "by-hand", "parameters": {"steps": steps}} for steps in programs]
        return self.api.submit(**({"benchmarks": benchmarks} | members))

    def ended(self, job_id: str) -> dict[str, Any]:
        """Return the document of a job once it has ended."""
        return self.reached(job_id, *TERMINAL)

    def reached(self, job_id: str, *states: str) -> dict[str, Any]:
        """Return the document of a job once it is in one of `states`."""
        known, deadline = "", time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            reply = self.api.get(f"{JOBS}/{job_id}", if_none_match=known, prefer="wait=5")
            if reply.status == 200:
                known = reply.headers["etag"]
                if reply.json["status"]["state"] in states:
                    return dict(reply.json)
        raise AssertionError(f"job {job_id} did not become {' or '.join(states)}: {self.api.job(job_id)['status']}")

    def log(self, job_id: str, index: int = 0) -> str:
        """Return the log of a benchmark."""
        reply = self.api.get(f"{JOBS}/{job_id}/benchmarks/{index}/logs?tail_lines=-1")
        assert reply.status == 200
        return reply.text

    def attempts(self, job_id: str) -> set[str]:
        """Return the ids of the runs of a job that have been leased."""
        events = self.api.get(f"{JOBS}/{job_id}/history").json["items"]
        return {event["run_id"] for event in events if event["type"] == "run.leased"}


def processes(run_ids: set[str]) -> list[int]:
    """Return the processes that work on runs, wherever in the tree they are."""
    marks = [f"ASSAY_ATTEMPT={run_id}:".encode() for run_id in run_ids]
    return [pid for pid, environment in environments() if any(mark in environment for mark in marks)]


def environments() -> list[tuple[int, bytes]]:
    """Return the environment of every process that is no zombie."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    found.append((int(entry.name), (entry / "environ").read_bytes()))
    return found
