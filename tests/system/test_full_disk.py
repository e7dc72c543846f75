"""A worker whose disk is full fails no run that can be carried out later, or elsewhere."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path

from tests.server import catalogue

from .deployment import Deployment, wait_until

_ADAPTER = Path(__file__).with_name("reporting_adapter.py")


def test_a_run_waits_for_room_on_the_disk(deploy: Callable[..., Deployment], tmp_path: Path) -> None:
    command = f"exec {sys.executable} -I -S {_ADAPTER} {tmp_path / 'journal'}"
    written = catalogue.write(tmp_path / "catalogue", catalogue.provider("noting", command))
    deployment = deploy("--slots", "1", "--catalog", str(written))
    (worker,) = wait_until(deployment.workers, 60, "the worker")
    _, hard = resource.prlimit(worker, resource.RLIMIT_FSIZE)
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, hard))
    job_id = deployment.submit([{"provider_id": "noting", "id": "b0"}], "http://127.0.0.1:9/v1")

    def given_back() -> bool:
        _, history = deployment.request("GET", f"/api/v1/evaluations/jobs/{job_id}/history")
        return any(one["type"] == "run.queued" and one["data"]["code"] == "worker_error" for one in history["items"])

    wait_until(given_back, 60, "the end of the first attempt")
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (hard, hard))
    assert deployment.ended(job_id)["status"]["state"] == "completed"
