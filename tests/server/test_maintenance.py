"""How much room things take, and clean-ups that are asked for."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.server import catalogue
from tests.server.acting import KEY, Worker, framed
from tests.server.client import Api
from tests.server.serving import Served, serving

_DAY = 86_400_000_000


def aged(data: Path, job_id: str, days: float) -> None:
    """Make a job of a stopped server one that ended so many days ago."""
    with sqlite3.connect(data / "assay.db") as connection:
        at = time.time_ns() // 1000 - round(days * _DAY)
        connection.execute("UPDATE jobs SET created_at = ?, updated_at = ? WHERE id = ?", (at, at, job_id))
    connection.close()


def old_id(api: Api, data: Path) -> str:
    """Return a job that has ended, with a log, an artifact and an id of long ago."""
    held = Worker(api).take(api)
    assert held.start().status == 204
    assert held.append(0, framed("x" * 5000)).status == 200
    assert held.end("completed", artifacts=[held.put("a.bin", b"y" * 100_000).json]).status == 204
    return held.job_id


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    written = catalogue.write(tmp_path / "catalogue", catalogue.provider("manual", "true"))
    return ["--catalog", str(written)]


def test_usage_says_how_much_room_everything_takes(tmp_path: Path, flags: list[str]) -> None:
    with serving(tmp_path, *flags, ASSAY_WORKER_KEY=KEY) as running:
        old_id(running.api, running.data)
        found = running.api.get("/api/v1/usage").json
        assert 100_000 < found["blobs_bytes"] < 101_000  # the artifact, and what the run was given
        assert 5000 < found["logs_bytes"] < 6000
        assert found["database_bytes"] > 50_000
        assert found["free_bytes"] > 0
        scrape = running.api.get("/metrics").text
        assert f'assay_storage_bytes{{part="blobs"}} {found["blobs_bytes"]}.0' in scrape
        command = [sys.executable, "-m", "assay", "usage", "--server", running.api.url]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "artifacts         100." in told


def cleanup(running: Served, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assay", "cleanup", "--server", running.api.url, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_dry_run_says_what_a_clean_up_then_deletes(tmp_path: Path, flags: list[str]) -> None:
    with serving(tmp_path, *flags, ASSAY_WORKER_KEY=KEY) as running:
        job_id = old_id(running.api, running.data)
        young = running.api.submit()
        assert json.loads(cleanup(running, "--dry-run", "--json").stdout)["jobs"] == 0
    # A job is as old as its id says at least, so it is looked at as if a thousandth of a day were long.
    aged(running.data, job_id, 10)
    settings = {"ASSAY_WORKER_KEY": KEY, "ASSAY_KEEP_JOBS_DAYS": "0.00001"}
    with serving(tmp_path, *flags, worker=False, **settings) as running:
        deadline = time.monotonic() + 30
        while running.api.get(f"/api/v1/evaluations/jobs/{job_id}").status == 200 and time.monotonic() < deadline:
            dry = cleanup(running, "--dry-run")
            assert dry.returncode == 0
            assert "would go" in dry.stdout
            asked = running.api.post("/api/v1/cleanup", None)
            assert asked.status == 202
            threading.Event().wait(0.2)
        assert running.api.get(f"/api/v1/evaluations/jobs/{job_id}").status == 404
        assert running.api.get(f"/api/v1/evaluations/jobs/{young}").status == 200
        assert not (running.data / "logs" / job_id).exists()
        assert (
            'evalhub_evaluation_job_actions_total{action="deleted",runtime="local",tenant=""} 1.0'
            in running.api.get("/metrics").text
        )


def test_only_administrators_may_clean_up_where_there_are_any(tmp_path: Path, flags: list[str]) -> None:
    with serving(tmp_path, *flags, ASSAY_ADMINS="ann") as running:
        refused = running.api.post("/api/v1/cleanup?dry_run=true", None, x_user="bob")
        assert (refused.status, refused.code) == (403, "not_administrator")
        assert running.api.post("/api/v1/cleanup?dry_run=true", None, x_user="ann").status == 200


def test_a_wrong_value_is_refused(api: Api) -> None:
    assert api.post("/api/v1/cleanup?dry_run=perhaps", None).code == "query_parameter_invalid"
    assert api.post("/api/v1/cleanup?dry=true", None).code == "query_bad_parameter"
