"""What runs, stalls and names do wrong stays theirs: nothing of a run outlives it, nobody's verdict is another's."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from assay.config import data_dir, engines_dir

from .deployment import Deployment, kill, wait_until

_ADAPTER = Path(__file__).with_name("misbehaving_adapter.py")
_NOWHERE = "http://127.0.0.1:9/v1"
_KEY = "the key of workers"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Where adapters leave word."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


@pytest.fixture
def start(deploy: Callable[..., Deployment], notes: Path, tmp_path: Path) -> Callable[..., Deployment]:
    """Start a deployment whose catalogue has a provider for each vice."""
    providers = tmp_path / "catalogue" / "providers"
    providers.mkdir(parents=True)
    for vice in ("daemon", "daemon-and-stays", "flood", "thrice", "stands"):
        command = f"exec {sys.executable} -I -S {_ADAPTER} {vice} {notes}"
        (providers / f"{vice}.yaml").write_text(
            f"id: {vice}\nname: {vice}\nbenchmarks: [{{id: b}}]\nruntime: {{local: {{command: '{command}'}}}}\n"
        )

    def begin(**environment: str) -> Deployment:
        more = {"ASSAY_GRACE_SECONDS": "1", "ASSAY_WORKER_KEY": _KEY, **environment}
        return deploy("--slots", "3", "--catalog", str(tmp_path / "catalogue"), **more)

    return begin


def _run(deployment: Deployment, vice: str, runs: int = 1) -> str:
    return deployment.submit([{"provider_id": vice, "id": "b"}] * runs, _NOWHERE)


def _lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def _dead(pid: int) -> bool:
    return not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _daemon(notes: Path) -> int:
    pid = wait_until(lambda: _lines(notes / "daemon"), 20, "the daemon")
    return int(pid[0])


def _worker(deployment: Deployment, name: str, data: Path, server: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "assay", "worker", "--server", server or deployment.url, "--name", name]
    environment = {**os.environ, "ASSAY_WORKER_KEY": _KEY}
    return subprocess.Popen([*command, "--data", str(data)], stderr=subprocess.PIPE, text=True, env=environment)


def test_no_daemon_outlives_its_run(start: Callable[..., Deployment], notes: Path) -> None:
    deployment = start()
    assert deployment.ended(_run(deployment, "daemon"))["status"]["state"] == "completed"
    wait_until(lambda: not _alive(_daemon(notes)), 10, "the end of the daemon")


def test_no_daemon_outlives_a_cancel_or_its_worker(start: Callable[..., Deployment], notes: Path) -> None:
    deployment = start()
    for end in ("cancel", "kill"):
        job_id = _run(deployment, "daemon-and-stays")
        wait_until(lambda: _lines(notes / "ready"), 20, "the adapter")
        pid = _daemon(notes)
        assert _alive(pid)
        if end == "cancel":
            assert deployment.request("DELETE", f"/api/v1/evaluations/jobs/{job_id}")[0] == 204
        else:
            kill(deployment.workers()[0])
        wait_until(partial(_dead, pid), 10, f"the end of the daemon after the {end}")
        (notes / "ready").unlink()
        (notes / "daemon").unlink()


def test_a_flood_of_output_is_drained_and_its_last_line_kept(start: Callable[..., Deployment]) -> None:
    deployment = start(ASSAY_MAX_LOG_BYTES="100000")
    (row,) = deployment.ended(_run(deployment, "flood"), 40)["status"]["benchmarks"]
    assert row["error_message"]["message_code"] == "process_exited"
    assert "code 3" in row["error_message"]["message"]
    assert row["error_message"]["message"].endswith("the last words")


def test_the_first_report_counts_and_its_repetition_changes_nothing(start: Callable[..., Deployment], notes: Path) -> None:
    deployment = start()
    job_id = _run(deployment, "thrice")
    assert deployment.ended(job_id)["status"]["state"] == "failed"
    wait_until(lambda: len(_lines(notes / "answers")) == 3, 10, "all reports")
    assert deployment.job(job_id)["status"]["state"] == "failed"


def test_a_worker_that_stood_still_ends_what_it_has_lost(start: Callable[..., Deployment], notes: Path) -> None:
    deployment = start(ASSAY_LEASE_SECONDS="2")
    worker = wait_until(deployment.workers)[0]
    job_id = _run(deployment, "stands")
    wait_until(lambda: deployment.job(job_id)["status"]["state"] == "running", 20, "the run")
    first = int(wait_until(lambda: _lines(notes / "started"))[0])
    os.kill(worker, signal.SIGSTOP)
    wait_until(lambda: deployment.job(job_id)["status"]["state"] == "pending", 20, "the loss of the lease")
    os.kill(worker, signal.SIGCONT)
    wait_until(lambda: not _alive(first), 10, "the end of the first attempt")
    wait_until(lambda: len(_lines(notes / "started")) > 1, 20, "another attempt")
    (notes / "go").touch()
    document = deployment.ended(job_id, 30)
    assert document["status"]["state"] == "completed"
    assert len(document["results"]["benchmarks"]) == 1


def test_a_machine_that_slept_loses_no_run(start: Callable[..., Deployment], notes: Path) -> None:
    deployment = start(ASSAY_LEASE_SECONDS="4")
    job_id = _run(deployment, "stands")
    wait_until(lambda: deployment.job(job_id)["status"]["state"] == "running", 20, "the run")
    wait_until(lambda: _lines(notes / "started"))
    assert deployment.process is not None
    worker, server = deployment.workers()[0], deployment.process.pid
    for pid in (worker, server):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(5)  # nothing else can make a lease run out
    os.kill(server, signal.SIGCONT)
    time.sleep(1)  # the server looks at its leases twice before the worker wakes, too
    os.kill(worker, signal.SIGCONT)
    (notes / "go").touch()
    assert deployment.ended(job_id, 30)["status"]["state"] == "completed"
    assert len(_lines(notes / "started")) == 1


def test_the_worker_of_a_killed_server_leaves_its_successors_runs_alone(
    start: Callable[..., Deployment], notes: Path
) -> None:
    deployment = start()
    cancelled = _run(deployment, "daemon-and-stays", 2)  # it takes the old worker a while to end these
    wait_until(lambda: len(_lines(notes / "ready")) == 2, 20, "both runs")
    deployment.kill()
    deployment.start()
    deployment.request("DELETE", f"/api/v1/evaluations/jobs/{cancelled}")
    job_id = _run(deployment, "stands", 3)
    wait_until(lambda: len(_lines(notes / "started")) == 3, 40, "three runs")
    wait_until(lambda: len(deployment.workers()) == 1, 30, "the end of the old worker")
    (notes / "go").touch()
    assert deployment.ended(job_id, 30)["status"]["state"] == "completed"
    assert len(_lines(notes / "started")) == 3


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../../elsewhere", ""])
def test_a_name_that_leads_elsewhere_is_refused_and_nothing_is_deleted(name: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "assay.db").write_text("precious")
    command = [sys.executable, "-c", "from assay.worker.claim import check_name; import sys; check_name(sys.argv[1])", name]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
    if name == "..":
        command = [sys.executable, "-m", "assay", "worker", "--server", _NOWHERE, "--name", name, "--data", str(data)]
        environment = {**os.environ, "ASSAY_WORKER_KEY": _KEY}
        refused = subprocess.run(command, capture_output=True, check=False, text=True, env=environment, timeout=30)
        assert refused.returncode == 2
        assert "--name" in refused.stderr
        assert [path.name for path in data.iterdir()] == ["assay.db"]


def test_two_workers_of_one_name_are_told_apart(start: Callable[..., Deployment], tmp_path: Path) -> None:
    deployment = start(ASSAY_LEASE_SECONDS="4")
    wait_until(lambda: (deployment.data / "runs" / "local.lock").exists(), 20, "the first worker")
    same_folder = _worker(deployment, "local", deployment.data)
    assert same_folder.wait(30) == 2
    assert "at work" in (same_folder.stderr.read() if same_folder.stderr else "")
    twins = [_worker(deployment, "twin", tmp_path / folder) for folder in ("one", "other")]
    try:
        loser = wait_until(lambda: [twin for twin in twins if twin.poll() is not None], 30, "the end of a twin")[0]
        assert loser.returncode == 2
        assert loser.stderr is not None
        assert "--name" in loser.stderr.read()
    finally:
        for twin in twins:
            twin.terminate()
            twin.wait()
    assert any(twin is not loser and twin.returncode == 0 for twin in twins)


def test_an_address_without_an_assay_server_is_named(
    start: Callable[..., Deployment], tmp_path: Path, model_url: str
) -> None:
    stranger = _worker(start(), "w", tmp_path / "w", server=model_url.removesuffix("/v1"))
    assert stranger.wait(30) == 2
    assert stranger.stderr is not None
    assert "--server" in stranger.stderr.read()


def test_an_engine_that_is_deleted_meanwhile_is_named(
    start: Callable[..., Deployment], tmp_path: Path, model_url: str
) -> None:
    engines = tmp_path / "engines"
    engines.mkdir()
    (engines / "lm_eval").symlink_to(engines_dir(data_dir()) / "lm_eval")
    deployment = start(ASSAY_ENGINES_DIR=str(engines), ASSAY_ENGINE_HOST="off")
    hold = _run(deployment, "stands", 3)
    wait_until(lambda: deployment.job(hold)["status"]["state"] == "running", 20, "busy slots")
    job_id = deployment.submit([{"provider_id": "practice", "id": "arithmetic"}], model_url)
    (engines / "lm_eval").unlink()
    deployment.request("DELETE", f"/api/v1/evaluations/jobs/{hold}")
    (row,) = deployment.ended(job_id, 40)["status"]["benchmarks"]
    assert "assay engines install lm_eval" in row["error_message"]["message"]


def test_an_engine_that_is_installed_meanwhile_is_used(
    start: Callable[..., Deployment], tmp_path: Path, model_url: str
) -> None:
    engines = tmp_path / "engines"
    engines.mkdir()
    deployment = start(ASSAY_ENGINES_DIR=str(engines), ASSAY_ENGINE_HOST="off")
    worker = "/api/v1/workers/local"
    wait_until(lambda: deployment.request("GET", worker)[1].get("alive"), 20, "a worker")
    assert "lm_eval" not in deployment.request("GET", worker)[1]["engines"]
    (engines / "lm_eval").symlink_to(engines_dir(data_dir()) / "lm_eval")
    job_id = deployment.submit([{"provider_id": "practice", "id": "arithmetic"}], model_url)
    assert deployment.ended(job_id, 60)["status"]["state"] == "completed"
    assert "lm_eval" in deployment.request("GET", worker)[1]["engines"]


class _Odd(http.server.BaseHTTPRequestHandler):
    """A model that cuts an answer in the middle of a character, and another in brackets without end."""

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        content = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"8 \\ud83d"}}]}'
        body = b"[" * 100_000 if b"2 + 1 =" in asked else content
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be silent."""


def test_an_odd_answer_is_one_sample_and_not_the_run(start: Callable[..., Deployment], tmp_path: Path) -> None:
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    rows = [json.dumps({"question": f"{n} + 1 =", "answer": str(n + 1)}) for n in range(10)]
    (tasks / "data.jsonl").write_text("\n".join(rows))
    (tasks / "mine.yaml").write_text(
        f"task: mine\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {tasks / 'data.jsonl'}}}}}\n"
        "test_split: test\noutput_type: generate_until\ndoc_to_text: '{{question}}'\ndoc_to_target: '{{answer}}'\n"
        "metric_list: [{metric: exact_match}]\n"
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Odd) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        parameters = {"task": "mine", "include_path": str(tasks), "max_error_rate": 0.5}
        benchmark = {"provider_id": "lm_eval", "id": "custom", "parameters": parameters}
        deployment = start()
        document = deployment.ended(deployment.submit([benchmark], f"http://127.0.0.1:{server.server_port}/v1"), 40)
        server.shutdown()
    assert document["status"]["state"] == "completed", document["status"]
    assert document["results"]["benchmarks"][0]["metrics"]["n"] == 9
