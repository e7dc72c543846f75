"""The numbers of a job are those of the plain `lm_eval` command on the same tasks and endpoint."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.engines.environments import Environment
from assay.engines.lm_eval import LmEvalSpec, engine_environment, plain_command
from assay.scheduler.catalogue import built_in

from .deployment import Deployment

_TASKS = built_in() / "tasks" / "practice"


def _plain(environment: Environment, model_url: str, task: str, endpoint: Any, output: Path) -> dict[str, Any]:
    """Return the results of the ordinary command for one task."""
    spec = LmEvalSpec(
        task=task,
        endpoint=endpoint,
        base_url=model_url,
        model="practice",
        output_dir=str(output),
        include_path=str(_TASKS),
        tokenizer_backend="none" if endpoint == "chat" else "remote",
    )
    subprocess.run(
        plain_command(environment, spec),
        cwd=_TASKS,
        env=engine_environment(environment, extra={"OPENAI_API_KEY": "x"}),
        check=True,
        capture_output=True,
    )
    (file,) = output.rglob("results_*.json")
    found: dict[str, Any] = json.loads(file.read_text())["results"][task]
    return found


@pytest.mark.parametrize(
    ("benchmark", "endpoint", "metrics"),
    [("arithmetic", "chat", ["exact_match"]), ("cloze", "completions", ["acc", "acc_norm"])],
)
def test_a_job_has_the_numbers_of_the_plain_command(
    deploy: Callable[..., Deployment],
    lm_eval_environment: Environment,
    model_url: str,
    tmp_path: Path,
    benchmark: str,
    endpoint: str,
    metrics: list[str],
) -> None:
    deployment = deploy()
    document = deployment.ended(deployment.submit([{"provider_id": "practice", "id": benchmark}], model_url))
    row = document["results"]["benchmarks"][0]
    plain = _plain(lm_eval_environment, model_url, f"practice_{benchmark}", endpoint, tmp_path / "out")
    for metric in metrics:
        assert row["metrics"][metric] == plain[f"{metric},none"]
        assert row["metrics"][f"{metric}_stderr"] == pytest.approx(plain[f"{metric}_stderr,none"], abs=1e-12)
    assert row["metrics"]["n"] == 48
    assert row["additional_info"]["tasks"][f"practice_{benchmark}"]["task_hash"]
    names = {artifact["name"] for artifact in _artifacts(deployment, document)}
    assert {f"samples_practice_{benchmark}.jsonl", "results.json"} <= names


def _artifacts(deployment: Deployment, document: dict[str, Any]) -> list[dict[str, Any]]:
    path = f"/api/v1/evaluations/jobs/{document['resource']['id']}/benchmarks/0/artifacts"
    status, answer = deployment.request("GET", path)
    assert status == 200
    samples = next(item for item in answer["items"] if item["name"].startswith("samples_"))
    status, text = deployment.request("GET", f"{path}/{samples['name']}")
    assert status == 200
    assert len([json.loads(line) for line in text.splitlines()]) == 48
    return list(answer["items"])
