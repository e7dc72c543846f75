"""A model's key is seen by the gateway alone: not by run folders, logs, the database, processes, answers or errors."""

from __future__ import annotations

import base64
import json
import os
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest

from .deployment import Deployment, practice_model, running, wait_until

CANARY = "canary-7f3e9b2a4d8c4e51+/=A"


def _forms() -> list[bytes]:
    raw = CANARY.encode()
    return [raw, urllib.parse.quote(CANARY, safe="").encode(), base64.b64encode(raw), json.dumps(CANARY).encode()[1:-1]]


def _found_in(folder: Path, allowed: Path) -> list[Path]:
    """Return the files that hold the key, but for the one place where the user put it."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and allowed not in path.parents:
            content = path.read_bytes()
            if any(form in content for form in _forms()):
                found.append(path)
    return found


def _in_processes(deployment: Deployment) -> list[int]:
    """Return the deployment's processes with the key in their arguments or environment."""
    ours = {*deployment.processes(), deployment.process.pid if deployment.process else 0}
    return [
        pid
        for pid, environment, command in running()
        if pid in ours and (CANARY.encode() in environment or CANARY in command)
    ]


@pytest.mark.parametrize("faults", [(), ("--refuse", "401"), ("--fail-rate", "0.5"), ("--bad-json-rate", "0.5")], ids=str)
def test_the_key_of_a_model_appears_nowhere(
    deploy: Callable[..., Deployment], tmp_path: Path, faults: tuple[str, ...]
) -> None:
    secrets = tmp_path / "secrets"
    (secrets / "model").mkdir(parents=True)
    (secrets / "model" / "api-key").write_text(CANARY + "\n")
    deployment = deploy("--log-level", "debug", ASSAY_SECRETS_DIR=str(secrets))
    with practice_model("--latency-ms", "30", *faults, ASSAY_PRACTICE_API_KEY=CANARY) as model_url:
        model = {"url": model_url, "name": "practice", "auth": {"secret_ref": "model"}}
        benchmarks = [
            {"provider_id": "practice", "id": name, "parameters": {"num_examples": 12}} for name in ("arithmetic", "cloze")
        ]
        job_id = deployment.submit(benchmarks, model_url, model=model)
        wait_until(lambda: deployment.job(job_id)["status"]["state"] != "pending", what="the start of the job")
        assert not _in_processes(deployment)
        document = deployment.ended(job_id)
    if not faults:
        assert document["status"]["state"] == "completed", document

    paths = [f"/api/v1/evaluations/jobs/{job_id}", f"/api/v1/evaluations/jobs/{job_id}/logs?tail_lines=-1", "/metrics"]
    answers = json.dumps([deployment.request("GET", path)[1] for path in paths])
    deployment.stop()
    assert not any(form.decode() in answers for form in _forms())
    assert not _found_in(deployment.data, secrets)
    assert CANARY not in deployment.log.read_text()
    assert os.environ.get("ASSAY_PRACTICE_API_KEY") is None


def test_a_wrong_key_is_a_clear_failure_that_does_not_show_it(deploy: Callable[..., Deployment], tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "model").write_text("wrong-" + CANARY)
    deployment = deploy(ASSAY_SECRETS_DIR=str(secrets))
    with practice_model(ASSAY_PRACTICE_API_KEY=CANARY) as model_url:
        model = {"url": model_url, "name": "practice", "auth": {"secret_ref": "model"}}
        job_id = deployment.submit([{"provider_id": "practice", "id": "arithmetic"}], model_url, model=model)
        row = deployment.ended(job_id)["status"]["benchmarks"][0]
    assert row["status"] == "failed"
    assert row["error_message"]["message_code"] == "model_refused"
    assert "secret_ref" in row["error_message"]["message"] or "credential" in row["error_message"]["message"]
    assert CANARY not in json.dumps(row)


@pytest.mark.parametrize(
    ("model", "parameters", "field"),
    [
        ({"parameters": {"api_key": CANARY}}, {}, "model.parameters.api_key"),
        ({"url": f"http://user:{urllib.parse.quote(CANARY, safe='')}@127.0.0.1:9/v1"}, {}, "model.url"),
        ({}, {"gen_kwargs": {"headers": {"Authorization": CANARY}}}, "parameters.gen_kwargs.headers.Authorization"),
    ],
)
def test_a_key_inside_a_submission_is_refused_and_not_kept(
    deploy: Callable[..., Deployment], model: dict[str, object], parameters: dict[str, object], field: str
) -> None:
    deployment = deploy("--no-worker")
    body = {
        "name": "j",
        "model": {"url": "http://127.0.0.1:9/v1", "name": "m"} | model,
        "benchmarks": [{"provider_id": "practice", "id": "arithmetic", "parameters": parameters}],
    }
    status, answer = deployment.request("POST", "/api/v1/evaluations/jobs", body)
    assert status == 400
    assert answer["message_code"] == "credential_in_request"
    assert field in answer["message"]
    deployment.stop()
    assert not any(form.decode() in json.dumps(answer) for form in _forms())
    assert not _found_in(deployment.data, Path("/nowhere"))
