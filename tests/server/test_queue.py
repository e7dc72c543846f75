"""The queue as users see it, by the API and by the command line; and quotas from a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import catalogue
from tests.server.acting import KEY, Worker
from tests.server.client import Api
from tests.server.serving import Served, serving

QUEUE = "/api/v1/queue"


@pytest.fixture
def quotas(tmp_path: Path) -> Path:
    path = tmp_path / "quotas.yaml"
    path.write_text("tenants:\n  small: {runs: 1}\n")
    return path


@pytest.fixture
def running(tmp_path: Path, quotas: Path) -> Iterator[Served]:
    written = catalogue.write(tmp_path / "catalogue", catalogue.provider("manual", "true"))
    flags = ("--catalog", str(written))
    with serving(tmp_path, *flags, ASSAY_WORKER_KEY=KEY, ASSAY_LEASE_SECONDS="600", ASSAY_QUOTAS=str(quotas)) as served:
        yield served


def waiting(api: Api, query: str = "") -> list[tuple[str, int | None, str]]:
    items = api.get(QUEUE + query).json["items"]
    return [(item["job_id"], item.get("position"), item["waits_for"]["reason"]) for item in items]


def test_a_run_waits_for_a_worker_then_for_a_slot(running: Served) -> None:
    api = running.api
    first, second = api.submit(), api.submit()
    assert waiting(api) == [(first, None, "worker"), (second, None, "worker")]
    message = api.get(QUEUE).json["items"][0]["waits_for"]["message"]
    assert message == "No worker that is alive has the engine 'adapter'."
    worker = Worker(api)
    assert waiting(api) == [(first, 1, "turn"), (second, 2, "turn")]
    worker.lease(1)
    assert waiting(api) == [(second, 1, "turn")]
    assert api.get(QUEUE).json["slots"] == {"total": 100, "used": 1, "workers": 1}


def test_when_a_run_starts_is_known_once_one_has_been_completed(running: Served) -> None:
    api, worker = running.api, Worker(running.api, slots=1)
    held = worker.take(api)
    held.start()
    job_id = api.submit()
    (item,) = api.get(QUEUE).json["items"]
    assert (item["job_id"], item["position"], "expected_start_at" in item) == (job_id, 1, False)
    assert held.end("completed", metrics={"acc": 1.0}).status == 204
    assert worker.lease().json["leases"]
    later = api.submit()
    (item,) = api.get(QUEUE).json["items"]
    assert (item["job_id"], item["position"]) == (later, 1)
    assert item["expected_start_at"] >= item["queued_at"]


def test_when_a_run_starts_is_known_after_a_restart(tmp_path: Path) -> None:
    flags = ("--catalog", str(catalogue.write(tmp_path / "catalogue", catalogue.provider("manual", "true"))))
    with serving(tmp_path, *flags, ASSAY_WORKER_KEY=KEY) as before:
        held = Worker(before.api).take(before.api)
        held.start()
        assert held.end("completed").status == 204
        assert held.worker.leave().status == 200
    with serving(tmp_path, *flags, ASSAY_WORKER_KEY=KEY, ASSAY_LEASE_SECONDS="600") as after:
        Worker(after.api, slots=1).take(after.api)
        after.api.submit()
        answer = after.api.get(QUEUE).json
        assert answer["slots"] == {"total": 1, "used": 1, "workers": 1}
        assert "expected_start_at" in answer["items"][0]


def test_everybody_sees_his_own_runs_and_their_place_among_all(running: Served) -> None:
    Worker(running.api)
    a, b = running.api.as_(x_tenant="a"), running.api.as_(x_tenant="b")
    jobs = [a.submit(), a.submit(), b.submit()]
    assert waiting(a) == [(jobs[0], 1, "turn"), (jobs[1], 3, "turn")]
    assert waiting(b) == [(jobs[2], 2, "turn")]
    answer = b.get(QUEUE).json
    assert (answer["total_count"], answer["queued"]) == (1, 3)


def test_a_page_and_a_single_job_can_be_asked_for(running: Served) -> None:
    api = running.api
    Worker(api)
    jobs = [api.submit() for _ in range(4)]
    assert [job for job, *_ in waiting(api, "?limit=2&offset=1")] == jobs[1:3]
    assert waiting(api, f"?job_id={jobs[3]}") == [(jobs[3], 4, "turn")]
    assert api.get(QUEUE + "?limit=0").code == "query_parameter_invalid"
    assert api.get(QUEUE + "?what=1").status == 400


def test_a_quota_holds_back_until_the_file_says_otherwise(running: Served, quotas: Path) -> None:
    small, worker = running.api.as_(x_tenant="small"), Worker(running.api)
    jobs = [small.submit() for _ in range(3)]
    assert [lease["job_id"] for lease in worker.lease(5).json["leases"]] == jobs[:1]
    assert worker.lease(5).json["leases"] == []
    assert waiting(small) == [(jobs[1], 1, "quota"), (jobs[2], 2, "quota")]
    assert "tenants.small.runs" in small.get(QUEUE).json["items"][0]["waits_for"]["message"]
    quotas.write_text("tenants:\n  small: {runs: two}\n")
    until(lambda: "the quotas stay as they were" in running.log.read_text())
    quotas.write_text("tenants: 2024-99-99\n")
    until(lambda: "a value in it is none: month must be in" in running.log.read_text())
    assert worker.lease(5).json["leases"] == []
    quotas.write_text("tenants:\n  small: {runs: 2}\n")
    assert [lease["job_id"] for lease in until(lambda: worker.lease(5).json["leases"])] == jobs[1:2]


def test_a_worker_that_waits_is_given_a_run_as_soon_as_a_quota_allows_it(running: Served) -> None:
    small, worker = running.api.as_(x_tenant="small"), Worker(running.api)
    held = worker.take(small)
    second = small.submit()
    poll = subprocess.Popen(
        [sys.executable, "-c", _POLL, running.api.url, worker.name, worker.incarnation, KEY],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert poll.stdout is not None
    assert poll.stdout.readline() == "asking\n"
    held.end("completed")
    answer = json.loads(poll.communicate(timeout=60)[0])
    assert [lease["job_id"] for lease in answer["leases"]] == [second]


_POLL = """
import json, sys, urllib.request
url, name, incarnation, key = sys.argv[1:]
print("asking", flush=True)
body = json.dumps({"incarnation": incarnation, "free": 1, "wait_s": 30}).encode()
headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
print(urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/workers/{name}/lease", body, headers)).read().decode())
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tenant: {}\n", "there is no quota named `tenant`; known are total, tenants, users and providers"),
        ("tenants: {a: {slots: 1}}\n", "there is no quota named `slots`, at `$.tenants[...]`"),
        ("total: {runs: -1}\n", "Expected `int` >= 0, at `$.total.runs`"),
        ("tenants: {a: {weight: 0}}\n", "Expected `float` > 0"),
        ("total: [1]\n", "Expected `object`, got `array`, at `$.total`"),
        ("total: {runs: 1\n", "expected ',' or '}'"),
    ],
)
def test_quotas_that_are_not_valid_end_the_start_with_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "q.yaml"
    path.write_text(text)
    command = [sys.executable, "-m", "assay", "serve", "--port", "0", "--data", str(tmp_path / "data"), "--no-worker"]
    done = subprocess.run(
        command, env=os.environ | {"ASSAY_QUOTAS": str(path)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert f"The quotas in {path} are not valid" in done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_line_shows_the_queue(running: Served) -> None:
    api = running.api

    def cli(*arguments: str) -> str:
        command = [sys.executable, "-m", "assay", "queue", "--server", api.url, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout + done.stderr

    assert "Nothing waits; slots in use: 0 of 0 (workers: 0)." in cli()
    Worker(api)
    job_id = api.submit(priority=7)
    shown = cli()
    assert "PLACE" in shown
    assert [line.split()[:4] for line in shown.splitlines() if job_id in line] == [["1", job_id, "manual/b0", "7"]]
    assert "Waiting: 1 of your runs, 1 in all; slots in use: 0 of 100 (workers: 1)." in shown
    assert json.loads(cli("--json", "--job", "last"))["items"][0]["job_id"] == job_id


def until(condition: Any, timeout_s: float = 60.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")
