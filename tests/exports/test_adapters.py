"""An adapter writes to MLflow itself, through its run's gateway: with the SDK's means, and without ever seeing the token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.evalhub.live import Live
from tests.exports.conftest import TOKEN
from tests.exports.front_door import FrontDoor
from tests.exports.mlflow_server import MlflowUnderTest
from tests.server.client import unique

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow")]
LARGE = 30_000_000


def test_results_and_artifacts_arrive_and_the_token_stays_unseen(
    live: Live, mlflow: MlflowUnderTest, door: FrontDoor, tmp_path: Path
) -> None:
    note, name = tmp_path / "note.json", unique("tracked")
    benchmarks = [{"id": "b0", "provider_id": "tracking", "parameters": {"note": str(note), "size": LARGE}}]
    experiment = {"name": name, "tags": [{"key": "env", "value": "test"}]}
    job = live.ended(live.api.submit(benchmarks=benchmarks, experiment=experiment))
    assert job["status"]["state"] == "completed", live.log(job["resource"]["id"])

    seen = json.loads(note.read_text())
    assert TOKEN not in note.read_text()
    assert door.url not in note.read_text()
    assert seen["environment"]["MLFLOW_TRACKING_URI"].startswith("http://127.0.0.1:")
    assert (seen["job"]["experiment_name"], seen["job"]["tags"]) == (name, [{"key": "env", "value": "test"}])

    run_id = job["results"]["benchmarks"][0]["mlflow_run_id"]
    run = mlflow.ask(f"/api/2.0/mlflow/runs/get?run_id={run_id}")["run"]
    assert run["info"]["experiment_id"] == job["resource"]["mlflow_experiment_id"]
    assert run["info"]["run_name"] == f"{job['resource']['id']}_0"
    assert {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}["acc"] == 0.75
    assert mlflow.artifact(run_id, "samples/all.txt") == b"x" * LARGE


def test_a_run_of_no_experiment_is_not_led_to_mlflow(live: Live, tmp_path: Path) -> None:
    note = tmp_path / "note.json"
    benchmarks = [{"id": "b0", "provider_id": "tracking", "parameters": {"note": str(note)}}]
    job = live.ended(live.api.submit(benchmarks=benchmarks))
    assert job["status"]["state"] == "completed"
    assert "MLFLOW_TRACKING_URI" not in json.loads(note.read_text())["environment"]


def test_mlflows_own_library_works_and_can_delete_nothing(live: Live, mlflow: MlflowUnderTest) -> None:
    name = unique("library")
    benchmarks = [{"id": "b0", "provider_id": "library"}]
    job = live.ended(live.api.submit(benchmarks=benchmarks, experiment={"name": name}))
    assert job["status"]["state"] == "completed", live.log(job["resource"]["id"])
    (result,) = job["results"]["benchmarks"]
    assert result["additional_info"]["read_back"] == "what it said"
    assert "A run may not do this" in result["additional_info"]["deleted"]
    assert mlflow.experiment(name)["lifecycle_stage"] == "active"
    run = mlflow.ask(f"/api/2.0/mlflow/runs/get?run_id={result['mlflow_run_id']}")["run"]
    assert run["info"]["status"] == "FINISHED"
