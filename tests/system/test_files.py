"""Runs on workers that see nothing of the server's disk: the files that they need come over HTTP, by digest."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .deployment import Deployment, wait_until
from .fleet import KEY, RemoteWorker

_ADAPTER = """
import json, os, pathlib, urllib.request
job = json.loads(pathlib.Path(os.environ["EVALHUB_JOB_SPEC_PATH"]).read_text())
rows = pathlib.Path("../data/rows.txt").read_text().split()
pathlib.Path("../data/rows.txt").chmod(0o600)
pathlib.Path("../data/rows.txt").write_text("spoiled")
event = {"provider_id": job["provider_id"], "id": job["benchmark_id"], "benchmark_index": job["benchmark_index"]}
event |= {"status": "completed", "metrics": {"rows": len(rows)}}
url = job["callback_url"] + "/api/v1/evaluations/jobs/" + job["id"] + "/events"
body = json.dumps({"benchmark_status_event": event}).encode()
urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}))
"""
_TASK = """task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{q}}}}"
doc_to_target: "{{{{a}}}}"
generation_kwargs: {{until: ["\\n"]}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""

Place = tuple[Deployment, Path]


@pytest.fixture
def place(deploy: Callable[..., Deployment], tmp_path: Path) -> Place:
    """A server without a worker, and the folder of its catalogue."""
    catalogue = tmp_path / "server" / "catalogue"
    (catalogue / "providers").mkdir(parents=True)
    (catalogue / "data").mkdir()
    (catalogue / "tasks").mkdir()
    (catalogue / "reading_adapter.py").write_text(_ADAPTER)
    (catalogue / "data" / "rows.txt").write_text("a b c")
    (catalogue / "tasks" / "sums.yaml").write_text(_TASK.format(data="rows.jsonl"))
    (catalogue / "tasks" / "rows.jsonl").write_text('{"q": "1+1=", "a": "2"}\n{"q": "2+2=", "a": "4"}\n')
    providers: list[dict[str, Any]] = [
        {"id": "reading", "runtime": {"local": {"command": f"{sys.executable} -I -S ../reading_adapter.py"}}},
        {"id": "tasks", "runtime": {"assay": {"engine": "lm_eval", "include_path": "../tasks"}}},
    ]
    benchmarks = {"reading": [{"id": "b"}], "tasks": [{"id": "sums"}]}
    for provider in providers:
        provider |= {"name": provider["id"], "benchmarks": benchmarks[provider["id"]]}
        (catalogue / "providers" / f"{provider['id']}.yaml").write_text(json.dumps(provider))
    return deploy("--no-worker", "--catalog", str(catalogue), ASSAY_WORKER_KEY=KEY, ASSAY_LEASE_SECONDS="10"), catalogue


@pytest.fixture
def start(place: Place, tmp_path: Path) -> Iterator[Callable[..., RemoteWorker]]:
    """Start workers that cannot see the server's folders, where this machine allows that, and that end with the test."""
    started: list[RemoteWorker] = []

    def begin(name: str, *arguments: str, **environment: str) -> RemoteWorker:
        hidden = " && ".join(f"mount -t tmpfs none {folder}" for folder in (place[1], place[0].data))
        wrapper = ("unshare", "-m", "sh", "-c", f'{hidden} && exec "$@"', "sh") if os.geteuid() == 0 else ()
        worker = RemoteWorker(place[0], tmp_path / name, *arguments, wrapper=wrapper, environment=environment)
        started.append(worker)
        return worker.registered()

    yield begin
    for worker in started:
        worker.end()


def _adapter_job(server: Deployment) -> str:
    return server.submit([{"provider_id": "reading", "id": "b"}], "http://127.0.0.1:9/v1")


def _metrics(document: dict[str, Any]) -> dict[str, Any]:
    assert document["status"]["state"] == "completed", document["status"]
    return dict(document["results"]["benchmarks"][0]["metrics"])


def test_an_adapter_finds_the_files_beside_its_catalogue_file(place: Place, start: Callable[..., RemoteWorker]) -> None:
    server, catalogue = place
    jobs = [_adapter_job(server), _adapter_job(server)]
    (catalogue / "data" / "rows.txt").write_text("changed after submit: d e f g")
    shutil.move(catalogue, catalogue.with_name("elsewhere"))
    catalogue.mkdir()
    start("w", "--slots", "1")
    # What one run has spoiled is whole again for the next.
    assert [_metrics(server.ended(job)) for job in jobs] == [{"rows": 3}] * 2


@pytest.mark.parametrize("data", ["rows.jsonl", "{folder}/rows.jsonl"], ids=["relative", "absolute"])
def test_lm_eval_finds_the_task_files_and_data_of_the_server(
    place: Place, start: Callable[..., RemoteWorker], model_url: str, data: str
) -> None:
    server, catalogue = place
    (catalogue / "tasks" / "sums.yaml").write_text(_TASK.format(data=data.format(folder=catalogue / "tasks")))
    job = server.submit([{"provider_id": "tasks", "id": "sums"}], model_url)
    shutil.move(catalogue, catalogue.with_name("elsewhere"))
    catalogue.mkdir()
    worker = start("w", "--slots", "1")
    assert "exact_match" in _metrics(server.ended(job))
    again = server.request("POST", f"/api/v1/evaluations/jobs/{job}/rerun", {"benchmarks": "all"})[1]["resource"]["id"]
    assert _metrics(server.ended(again)) == _metrics(server.job(job))
    kept = list((worker.data / "cache" / "w" / "blobs").glob("*/*/*"))
    assert len(kept) == 3


def test_a_blob_that_is_not_what_its_digest_says_fails_the_run(place: Place, start: Callable[..., RemoteWorker]) -> None:
    server, _ = place
    job = _adapter_job(server)
    (blob,) = [path for path in (server.data / "blobs").glob("*/*/*") if path.read_text() == "a b c"]
    blob.write_text("x y z")
    start("w", "--slots", "1")
    (row,) = server.ended(job)["status"]["benchmarks"]
    assert (row["status"], row["error_message"]["message_code"]) == ("failed", "dataset_changed")
    assert "data/rows.txt" in row["error_message"]["message"]


def test_a_transfer_goes_on_where_it_stopped_and_the_cache_stays_in_its_bounds(
    place: Place, start: Callable[..., RemoteWorker]
) -> None:
    server, catalogue = place
    large = os.urandom(12 << 20)
    (catalogue / "data" / "large.bin").write_bytes(large)
    job = _adapter_job(server)
    (blob,) = [path for path in (server.data / "blobs").glob("*/*/*") if path.stat().st_size == len(large)]
    cache = server.data.parent / "w" / "cache" / "w" / "blobs" / blob.parent.relative_to(server.data / "blobs")
    cache.mkdir(parents=True)
    (cache / f"{blob.name}.part").write_bytes(large[: 5 << 20])
    start("w", "--slots", "1", ASSAY_CACHE_BYTES=str(1 << 20))
    assert _metrics(server.ended(job)) == {"rows": 3}
    wait_until(lambda: not list(cache.iterdir()), 20, "the end of the large file")
