"""Bad input is refused as early as it can be known, in words that name the remedy; what was stored before stays."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .deployment import Deployment, practice_model

_TASK = """\
task: mine
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 4}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""


def _tasks(folder: Path, lines: list[str], data: str = "data.jsonl") -> Path:
    folder.mkdir()
    (folder / "mine.yaml").write_text(_TASK.format(data=data))
    (folder / "data.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def _custom(folder: Path, task: str = "mine") -> dict[str, Any]:
    return {"provider_id": "lm_eval", "id": "custom", "parameters": {"task": task, "include_path": str(folder)}}


def _refusal(deployment: Deployment, benchmark: dict[str, Any]) -> tuple[int, str, str]:
    body = {"name": "j", "model": {"url": "http://127.0.0.1:9/v1", "name": "m"}, "benchmarks": [benchmark]}
    status, answer = deployment.request("POST", "/api/v1/evaluations/jobs", body)
    return status, answer["message_code"], answer["message"]


def test_what_files_can_tell_is_refused_at_submit(deploy: Callable[..., Deployment], tmp_path: Path) -> None:
    deployment = deploy("--no-worker")
    good = _tasks(tmp_path / "good", ['{"question": "1+1", "answer": "2"}'])
    broken = _tasks(tmp_path / "broken", ['{"question": "1+1", "answer": "2"}', '{"question": '])
    missing = _tasks(tmp_path / "missing", ["{}"], data="elsewhere.jsonl")
    unread = _tasks(tmp_path / "unread", ["{}"])
    (unread / "mine.yaml").write_text("task: mine\n  dataset_path: [")

    assert _refusal(deployment, {"provider_id": "nobody", "id": "b"})[:2] == (404, "resource_not_found")
    assert _refusal(deployment, {"provider_id": "practice", "id": "nothing"})[:2] == (400, "resource_does_not_exist")
    cases: list[tuple[dict[str, Any], list[str]]] = [
        (_custom(good, "other"), ["other", "mine"]),
        (_custom(tmp_path / "nowhere"), ["nowhere", "does not exist"]),
        (_custom(broken), ["data.jsonl", "2"]),
        (_custom(missing), ["elsewhere.jsonl"]),
        (_custom(unread), ["mine.yaml"]),
        ({"provider_id": "lm_eval", "id": "custom", "parameters": {"task": "arc_eazy"}}, ["arc_eazy", "arc_easy"]),
        (
            {"provider_id": "practice", "id": "arithmetic", "parameters": {"num_fewshots": 2}},
            ["num_fewshots", "num_fewshot"],
        ),
        ({"provider_id": "practice", "id": "cloze", "parameters": {"endpoint": "chat"}}, ["endpoint", "completions"]),
    ]
    for benchmark, words in cases:
        status, code, message = _refusal(deployment, benchmark)
        assert (status, code) == (400, "preflight_failed"), message
        for word in words:
            assert word in message, message
    assert deployment.request("GET", "/api/v1/evaluations/jobs")[1]["total_count"] == 0


def test_a_folder_of_ones_own_tasks_runs(deploy: Callable[..., Deployment], model_url: str, tmp_path: Path) -> None:
    deployment = deploy()
    good = _tasks(tmp_path / "good", [json.dumps({"question": f"{n} + 1 =", "answer": str(n + 1)}) for n in range(5)])
    for url in (model_url, model_url.replace("http:", "HTTP:")):
        document = deployment.ended(deployment.submit([_custom(good)], url))
        assert document["status"]["state"] == "completed", document["status"]
        assert document["results"]["benchmarks"][0]["metrics"]["n"] == 5


def test_a_file_that_changes_after_submit_does_not_change_the_run(
    deploy: Callable[..., Deployment], model_url: str, tmp_path: Path
) -> None:
    deployment = deploy("--slots", "1")
    tasks = _tasks(tmp_path / "tasks", [json.dumps({"question": f"{n} + 1 =", "answer": str(n + 1)}) for n in range(5)])
    with practice_model("--latency-ms", "300") as slow:
        first = deployment.submit([{"provider_id": "practice", "id": "arithmetic"}], slow)
        second = deployment.submit([_custom(tasks)], model_url)
        (tasks / "data.jsonl").write_text('{"question": "x", "answer": "y"}\n')
        document = deployment.ended(second)
        deployment.ended(first)
    assert document["status"]["state"] == "completed", document["status"]
    assert document["results"]["benchmarks"][0]["metrics"]["n"] == 5


def test_an_unreachable_model_fails_the_run_with_its_address(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    benchmark = {"provider_id": "practice", "id": "arithmetic", "parameters": {"num_examples": 4}}
    row = deployment.ended(deployment.submit([benchmark], url))["status"]["benchmarks"][0]
    assert row["status"] == "failed"
    assert row["error_message"]["message_code"] == "model_unreachable"
    assert "model" in row["error_message"]["message"]


def test_a_sample_that_fails_for_good_is_an_errored_sample(deploy: Callable[..., Deployment], tmp_path: Path) -> None:
    deployment = deploy()
    questions = [json.dumps({"question": f"{n} + 1 =" if n != 3 else "POISON", "answer": str(n + 1)}) for n in range(20)]
    tasks = _tasks(tmp_path / "tasks", questions)
    with practice_model("--fail-on", "POISON") as model_url:
        document = deployment.ended(deployment.submit([_custom(tasks)], model_url))
        strict = _custom(tasks)
        strict["parameters"]["max_error_rate"] = 0.01
        failed = deployment.ended(deployment.submit([strict], model_url))
    metrics = document["results"]["benchmarks"][0]["metrics"]
    assert document["status"]["state"] == "completed"
    assert (metrics["n"], metrics["n_errored"]) == (19, 1)
    assert "1 samples got no answer" in document["status"]["benchmarks"][0]["warning_message"]["message"]
    assert failed["status"]["benchmarks"][0]["error_message"]["message_code"] == "too_many_errors"
    assert failed["results"]["benchmarks"][0]["metrics"]["n_errored"] == 1


def test_a_missing_engine_is_refused_with_the_command_that_installs_it(
    deploy: Callable[..., Deployment], tmp_path: Path
) -> None:
    deployment = deploy("--no-worker", ASSAY_ENGINES_DIR=str(tmp_path / "none"))
    status, code, message = _refusal(deployment, {"provider_id": "practice", "id": "arithmetic"})
    assert (status, code) == (400, "engine_not_installed")
    assert "assay engines install lm_eval" in message


def _serve(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assay", "serve", "--no-worker", "--data", str(data), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_port_in_use_names_the_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        ended = _serve("--port", port, data=tmp_path / "d")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert port in ended.stderr
    assert "--port" in ended.stderr


def test_a_damaged_database_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    database = tmp_path / "d" / "assay.db"
    database.parent.mkdir()
    database.write_bytes(b"this was a database" * 1000)
    ended = _serve("--port", "0", data=tmp_path / "d")
    assert ended.returncode == 2
    assert str(database) in ended.stderr
    assert "backup" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert database.read_bytes() == b"this was a database" * 1000


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = _serve("--port", "0", data=tmp_path / "file" / "d")
    assert ended.returncode == 2
    assert "--data" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_two_servers_cannot_share_a_data_folder(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy("--no-worker")
    ended = _serve("--port", "0", data=deployment.data)
    assert ended.returncode == 2
    assert "another Assay server" in ended.stderr
    assert deployment.request("GET", "/api/v1/health")[0] == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_refuses_new_work_and_loses_nothing(deploy: Callable[..., Deployment], tmp_path: Path) -> None:
    folder = tmp_path / "data0"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("this machine allows no mounts")
    try:
        deployment = deploy("--no-worker")
        kept = deployment.submit([{"provider_id": "practice", "id": "arithmetic"}], "http://127.0.0.1:9/v1")
        filler = folder / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 65536)

            except OSError:
                pass
        big = {"provider_id": "practice", "id": "arithmetic", "parameters": {"metadata": {"x": "y" * 600_000}}}
        status, code, message = _refusal(deployment, big)
        assert (status, code) == (503, "store_unavailable"), message
        assert "free space" in message
        assert deployment.job(kept)["status"]["state"] == "pending"
        filler.unlink()
        again = deployment.submit([{"provider_id": "practice", "id": "arithmetic"}], "http://127.0.0.1:9/v1")
        assert {deployment.job(job_id)["status"]["state"] for job_id in (kept, again)} == {"pending"}
        deployment.stop()
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
