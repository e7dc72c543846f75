"""Several workers with data folders of their own: placement, drain and pause, and one that vanishes for a while."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .deployment import Deployment, wait_until
from .fleet import KEY, RemoteWorker

_MODEL = "http://127.0.0.1:9/v1"
_ADAPTER = """
import json, os, pathlib, time, urllib.request
job = json.loads(pathlib.Path(os.environ["EVALHUB_JOB_SPEC_PATH"]).read_text())
wanted = job["parameters"]
journal = pathlib.Path(wanted["journal"]) / str(os.getpid())
journal.write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all") + " start")
while wanted.get("until") and not os.path.exists(wanted["until"]):
    time.sleep(0.02)
event = {name: job[key] for name, key in (("provider_id", "provider_id"), ("id", "benchmark_id"))}
event |= {"benchmark_index": job["benchmark_index"], "status": "completed", "metrics": {"worker": 1}}
url = job["callback_url"] + "/api/v1/evaluations/jobs/" + job["id"] + "/events"
body = json.dumps({"benchmark_status_event": event}).encode()
urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}))
"""

Start = Callable[..., RemoteWorker]


@pytest.fixture
def server(deploy: Callable[..., Deployment], tmp_path: Path) -> Deployment:
    """A server without a worker, with a provider whose runs wait for a file."""
    program = tmp_path / "waiting_adapter.py"
    program.write_text(_ADAPTER)
    providers = tmp_path / "catalogue" / "providers"
    providers.mkdir(parents=True)
    runtime = {"local": {"command": f"{sys.executable} -I -S {program}"}}
    provider = {"id": "waiting", "name": "waiting", "benchmarks": [{"id": "b"}], "runtime": runtime}
    (providers / "waiting.yaml").write_text(json.dumps(provider))
    arguments = ("--no-worker", "--catalog", str(tmp_path / "catalogue"))
    return deploy(*arguments, ASSAY_WORKER_KEY=KEY, ASSAY_LEASE_SECONDS="3")


@pytest.fixture
def start(server: Deployment, tmp_path: Path) -> Iterator[Start]:
    """Start workers that end with the test."""
    started: list[RemoteWorker] = []

    def begin(name: str, *arguments: str) -> RemoteWorker:
        worker = RemoteWorker(server, tmp_path / name, *arguments)
        started.append(worker)
        return worker.registered()

    yield begin
    for worker in started:
        worker.end()


class _Jobs:
    """Jobs whose runs note what they see and wait until they are let go."""

    def __init__(self, server: Deployment, folder: Path) -> None:
        self._server, self._gate, self._journal = server, folder / "gate", folder / "journal"
        self._journal.mkdir()

    def submit(self, count: int = 1, **resources: object) -> str:
        parameters = {"journal": str(self._journal), "until": str(self._gate)}
        benchmark = {"provider_id": "waiting", "id": "b", "parameters": parameters, "resources": resources}
        return self._server.submit([benchmark] * count, _MODEL)

    def devices(self) -> list[str]:
        return sorted(path.read_text().split()[0] for path in self._journal.iterdir() if path.read_text())

    def let_go(self) -> None:
        self._gate.touch()


@pytest.fixture
def jobs(server: Deployment, tmp_path: Path) -> _Jobs:
    return _Jobs(server, tmp_path)


def test_runs_go_to_the_workers_that_have_what_they_ask_for(server: Deployment, start: Start, jobs: _Jobs) -> None:
    gpu = start("gpu-box", "--slots", "8", "--gpus", "4", "--label", "site=berlin")
    plain = start("plain-box", "--slots", "8", "--gpus", "0", "--label", "site=paris")
    two, one, paris = jobs.submit(gpus=2), jobs.submit(2, gpus=1), jobs.submit(labels={"site": "paris"})
    wait_until(lambda: (gpu.holds(), plain.holds()) == (3, 1), what="all runs in the right hands")
    waiting = jobs.submit(gpus=1, labels={"site": "paris"})
    wait_until(lambda: len(jobs.devices()) == 4, what="all runs at work")
    given = [device for devices in jobs.devices() if devices != "all" for device in devices.split(",")]
    assert sorted(given) == ["0", "1", "2", "3"]
    assert server.job(waiting)["status"]["state"] == "pending"
    jobs.let_go()
    assert [server.ended(job)["status"]["state"] for job in (two, one, paris)] == ["completed"] * 3
    assert server.job(waiting)["status"]["state"] == "pending"
    start("both", "--gpus", "1", "--label", "site=paris")
    assert server.ended(waiting)["status"]["state"] == "completed"


def test_a_drained_worker_finishes_what_it_holds_and_ends(server: Deployment, start: Start, jobs: _Jobs) -> None:
    worker = start("w", "--slots", "2")
    job = jobs.submit(3)
    wait_until(lambda: len(jobs.devices()) == 2, what="two runs at work")
    worker.direct("drain")
    jobs.let_go()
    assert worker.process.wait(30) == 0
    statuses = [row["status"] for row in server.job(job)["status"]["benchmarks"]]
    assert sorted(statuses) == ["completed", "completed", "pending"]
    assert "drained" in worker.log.read_text()
    start("w", "--slots", "1")
    assert server.ended(job)["status"]["state"] == "completed"


def test_a_drain_outlives_a_worker_that_is_killed(server: Deployment, start: Start, jobs: _Jobs) -> None:
    worker = start("w", "--slots", "1")
    job = jobs.submit()
    wait_until(lambda: len(jobs.devices()) == 1, what="the run at work")
    worker.direct("drain")
    worker.process.kill()
    worker.process.wait()
    again = RemoteWorker(server, worker.data, "--slots", "1")
    assert again.process.wait(30) == 0
    assert (again.document()["state"], again.document()["alive"], again.holds()) == ("drained", False, 0)
    jobs.let_go()
    start("w", "--slots", "1")
    assert server.ended(job)["status"]["state"] == "completed"


def test_a_paused_worker_goes_on_with_what_it_holds_and_takes_nothing_new(
    server: Deployment, start: Start, jobs: _Jobs
) -> None:
    worker = start("w", "--slots", "2")
    first = jobs.submit()
    wait_until(lambda: len(jobs.devices()) == 1, what="the first run at work")
    worker.direct("pause")
    second = jobs.submit()
    jobs.let_go()
    assert server.ended(first)["status"]["state"] == "completed"
    worker.end()
    worker = start("w", "--slots", "2")
    assert worker.document()["state"] == "paused"
    assert server.job(second)["status"]["state"] == "pending"
    worker.direct("resume")
    assert server.ended(second)["status"]["state"] == "completed"


def test_a_worker_that_comes_back_after_its_lease_changes_nothing(server: Deployment, start: Start, jobs: _Jobs) -> None:
    late = start("late", "--slots", "1")
    job = jobs.submit()
    wait_until(lambda: len(jobs.devices()) == 1, what="the run at work")
    late.process.send_signal(signal.SIGSTOP)
    other = start("other", "--slots", "1")
    wait_until(lambda: other.holds() == 1, what="the run in other hands")
    assert late.document()["alive"] is False
    late.process.send_signal(signal.SIGCONT)
    wait_until(lambda: late.document()["alive"], what="the return of the late one")
    jobs.let_go()
    document = server.ended(job)
    assert document["status"]["state"] == "completed"
    assert document["status"]["benchmarks"][0]["attempts"] == 2
    _, history = server.request("GET", f"/api/v1/evaluations/jobs/{job}/history")
    assert [event["type"] for event in history["items"]].count("run.completed") == 1
    assert other.process.poll() is None
    assert late.process.poll() is None


def test_the_worker_beside_the_server_can_be_drained_and_stays_away(deploy: Callable[..., Deployment]) -> None:
    server = deploy()
    wait_until(lambda: server.request("GET", "/api/v1/workers/local")[0] == 200, what="the worker")
    wait_until(server.workers, what="its process")
    assert server.request("POST", "/api/v1/workers/local/drain", {})[0] == 200
    wait_until(lambda: "it starts again with the server" in server.log.read_text(), what="the end of the worker")
    assert server.request("GET", "/api/v1/workers/local")[1]["state"] == "drained"
    assert server.workers() == []
    server.stop()
    server.start()
    wait_until(lambda: server.request("GET", "/api/v1/workers/local")[1]["state"] == "active", what="the worker's return")


def test_the_command_line_lists_shows_and_directs_workers(server: Deployment, start: Start, jobs: _Jobs) -> None:
    def assay(*arguments: str) -> str:
        command = [sys.executable, "-m", "assay", "workers", *arguments, "--server", server.url]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert assay("list") == ""
    worker = start("w", "--slots", "2", "--gpus", "1", "--label", "site=berlin")
    jobs.submit()
    wait_until(lambda: len(jobs.devices()) == 1, what="the run at work")
    heading, row = assay("list").splitlines()
    assert heading.split()[:4] == ["WORKER", "STATE", "SEEN", "RUNS"]
    assert row.split()[:2] == ["w", "active"]
    assert "1/2" in row
    assert "site=berlin" in row
    shown = assay("show", "w")
    assert "waiting/b" in shown
    assert "1 on 2 slots" in shown
    assert json.loads(assay("pause", "w", "--json"))["state"] == "paused"
    assert json.loads(assay("resume", "w", "--json"))["state"] == "active"
    assert "draining" in assay("drain", "w")
    jobs.let_go()
    wait_until(lambda: not worker.document()["alive"], what="the end of the worker")
    assert json.loads(assay("forget", "w", "--json")) == {"forgotten": ["w"]}
    assert assay("list") == ""
