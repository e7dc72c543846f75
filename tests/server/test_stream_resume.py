"""A watcher loses nothing and is told nothing twice, whatever happens to the server that it watches."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.client import ClientError, Evaluations, Http
from tests.server import catalogue
from tests.server.acting import KEY
from tests.server.client import JOBS, Api
from tests.system.deployment import Deployment

BENCHMARKS = 40


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    written = catalogue.write(tmp_path / "catalogue", catalogue.provider("manual", "true"))
    made = Deployment(tmp_path / "data", "--no-worker", "--catalog", str(written), environment={"ASSAY_WORKER_KEY": KEY})
    made.start()
    yield made
    made.stop()


def test_a_server_that_is_killed_in_the_middle_loses_and_doubles_nothing(deployment: Deployment) -> None:
    api = Api(deployment.url)
    job_id = api.submit(benchmarks=[{"id": "b0", "provider_id": "manual"}] * BENCHMARKS)
    told: queue.SimpleQueue[int] = queue.SimpleQueue()
    seen: dict[str, list[int]] = {"job": [], "all": []}
    failures: list[ClientError] = []

    def watch(name: str, of: str | None) -> None:
        for event in Evaluations(Http(deployment.url)).watch(of, after=0, away=failures.append):
            if "seq" in event:
                seen[name].append(event["seq"])
                if name == "job":
                    told.put(event["seq"])
            if event["type"] in ("end", "job.completed"):
                return

    watching = [threading.Thread(target=watch, args=given, daemon=True) for given in (("job", job_id), ("all", None))]
    for thread in watching:
        thread.start()
    for index in range(BENCHMARKS):
        assert api.report(job_id, "completed", benchmark_index=index).status == 204
        if index % 13 == 5:
            told.get(timeout=60)  # somebody watches
            deployment.kill()
            deployment.start()
    for thread in watching:
        thread.join(60)
        assert not thread.is_alive()
    numbers = [item["seq"] for item in api.get(f"{JOBS}/{job_id}/history?limit=1000").json["items"]]
    assert len(numbers) == BENCHMARKS + 3  # created, running, completed
    assert seen == {"job": numbers, "all": numbers}
    assert failures, "the server was never away"
