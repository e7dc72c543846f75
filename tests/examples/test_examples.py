"""Every example runs from end to end, and does what its page says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..system.deployment import Deployment

_EXAMPLES = Path(__file__).parents[2] / "examples"
_PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
"""Begins with the environment that holds `assay` and eval-hub-sdk."""


def _run(deployment: Deployment, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PATH": _PATH, "ASSAY_SERVER": deployment.url, **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)


def _newest(deployment: Deployment, name: str) -> dict[str, Any]:
    status, page = deployment.request("GET", f"/api/v1/evaluations/jobs?limit=1&name={name}")
    assert status == 200, page
    return dict(page["items"][0])


def test_own_tasks_are_evaluated_and_held_against_their_thresholds(
    deploy: Callable[..., Deployment], model_url: str
) -> None:
    deployment = deploy()
    script = str(_EXAMPLES / "own-tasks" / "run.sh")

    ended = _run(deployment, script, ASSAY_MODEL_URL=model_url)
    assert ended.returncode == 0, ended.stderr
    for name, metric, samples in (("everyday", "exact_match", 12), ("professions", "acc", 6)):
        (row,) = _newest(deployment, name)["results"]["benchmarks"]
        assert row["metrics"]["n"] == samples
        assert row["test"]["primary_score_metric"] == metric
        assert row["test"]["pass"] is True

    ended = _run(deployment, script, "--threshold", "1", ASSAY_MODEL_URL=model_url)
    assert ended.returncode == 1, ended.stdout
    assert "fail" in ended.stdout


def test_the_adapter_asks_the_model_and_reports_what_it_found(deploy: Callable[..., Deployment], model_url: str) -> None:
    deployment = deploy("--catalog", str(_EXAMPLES / "adapter"), PATH=_PATH)

    ended = _run(deployment, "assay", "eval", "quiz/sums", "--model-url", model_url, "--name", "quiz")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    document = _newest(deployment, "quiz")
    (row,) = document["results"]["benchmarks"]
    assert row["metrics"]["answered"] == 1.0
    assert row["test"]["pass"] is True
    assert document["status"]["benchmarks"][0]["phase"] == "running_evaluation"
    log = _run(deployment, "assay", "jobs", "logs", "last").stdout
    assert "What is 7 plus 5? 12 (right)" in log


def test_the_adapter_reports_a_model_that_does_not_answer(deploy: Callable[..., Deployment], model_url: str) -> None:
    deployment = deploy("--catalog", str(_EXAMPLES / "adapter"), PATH=_PATH)
    nobody = model_url.rpartition("/")[0] + "/nothing/here"
    job_id = deployment.submit([{"provider_id": "quiz", "id": "sums", "parameters": {"num_examples": 2}}], nobody)
    (row,) = deployment.ended(job_id)["status"]["benchmarks"]
    assert row["status"] == "failed"
    assert row["error_message"]["message_code"] == "quiz_failed"


def test_the_python_client_follows_a_job_and_fetches_its_samples(
    deploy: Callable[..., Deployment], model_url: str, tmp_path: Path
) -> None:
    deployment = deploy()
    script = str(_EXAMPLES / "python-client" / "evaluate.py")
    places = ("--server", deployment.url, "--model-url", model_url, "--samples", str(tmp_path))
    ended = _run(deployment, sys.executable, script, *places)
    assert ended.returncode == 0, ended.stderr
    assert "job completed: score" in ended.stdout
    samples = (tmp_path / "0-samples_practice_arithmetic.jsonl").read_text().splitlines()
    assert len(samples) == 20
    assert json.loads(samples[0])["filtered_resps"]


def test_the_python_client_says_where_nobody_answers(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy("--no-worker")
    deployment.stop()
    script = str(_EXAMPLES / "python-client" / "evaluate.py")
    ended = _run(deployment, sys.executable, script, "--server", deployment.url)
    assert ended.returncode == 1
    assert deployment.url in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_submission_file_is_evaluated_as_it_stands(deploy: Callable[..., Deployment], model_url: str) -> None:
    deployment = deploy()
    file = str(_EXAMPLES / "submission.yaml")
    ended = _run(deployment, "assay", "eval", "--file", file, "--model-url", model_url)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    document = _newest(deployment, "nightly")
    assert document["tags"] == ["nightly", "example"]
    assert document["results"]["test"]["threshold"] == 0.55
    assert [row["metrics"]["n"] for row in document["results"]["benchmarks"]] == [24, 48]


def test_every_example_says_what_it_is() -> None:
    for entry in _EXAMPLES.iterdir():
        if entry.name == "__pycache__":
            continue
        if entry.is_dir():
            programs = [path for path in entry.glob("*.py") if path.read_text().startswith('"""')]
            assert (entry / "README.md").is_file() or programs, entry
        else:
            assert entry.read_text().startswith("#"), entry
