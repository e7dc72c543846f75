"""Two servers on one PostgreSQL, and anything of it is killed, PostgreSQL too: every run ends, once, and nothing is left."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.postgres import Cluster, cluster

from .deployment import TERMINAL, Deployment, kill, practice_model, wait_until

_RUNS_PER_JOB = 6
_KILLS = 30
_REASONS = {"worker_lost", "lease_lost", "engine_died"}
_BENCHMARK = {"provider_id": "practice", "id": "arithmetic", "parameters": {"num_examples": 4, "num_concurrent": 2}}


@pytest.fixture(scope="module")
def durable() -> Iterator[Cluster]:
    """A PostgreSQL server that keeps what it has acknowledged."""
    with cluster(durable=True) as running:
        yield running


def submit_until_acknowledged(deployments: list[Deployment], model_url: str, key: str) -> str:
    """Submit at whichever server answers, again and again with one key."""
    body = {"name": key, "model": {"url": model_url, "name": "practice"}, "benchmarks": [_BENCHMARK] * _RUNS_PER_JOB}

    def post() -> str | None:
        for deployment in deployments:
            with contextlib.suppress(OSError):
                status, answer = deployment.request("POST", "/api/v1/evaluations/jobs", body, **{"Idempotency-Key": key})
                if status == 202:
                    return str(answer["resource"]["id"])
                assert (status, answer["message_code"]) == (503, "store_unavailable"), answer
        return None

    found: str = wait_until(post, 60, f"the acknowledgement of {key}")
    return found


def kill_one(deployments: list[Deployment], durable: Cluster, kind: str, rng: random.Random) -> None:
    """Kill one process of a kind as soon as there is one, and start it again where nobody else does."""
    deployment = rng.choice(deployments)
    if kind == "server":
        deployment.kill()
        deployment.start()
    elif kind.startswith("postgres"):
        durable.kill() if kind == "postgres" else durable.stop(signal.SIGQUIT)
        time.sleep(rng.uniform(0, 1.5))  # the outage lasts as long as it lasts
        durable.start()
    else:
        alive = {"worker": Deployment.workers, "host": Deployment.engine_hosts, "engine": Deployment.engines}[kind]
        pids = wait_until(lambda: [pid for one in deployments for pid in alive(one)], 60, f"a process to kill: {kind}")
        kill(rng.choice(pids))


def test_random_kills_of_two_servers_and_of_postgres(deploy: Callable[..., Deployment], durable: Cluster) -> None:
    rng = random.Random(20261122)
    with practice_model("--latency-ms", "80") as model_url, durable.database() as url:
        settings = {"ASSAY_DATABASE": url, "ASSAY_LEASE_SECONDS": "4", "ASSAY_GRACE_SECONDS": "1"}
        deployments = [deploy("--slots", "2", **settings) for _ in range(2)]
        kinds = ["server", "worker", "host", "engine", "postgres", "postgres stopped"] * (_KILLS // 6)
        rng.shuffle(kinds)
        jobs = [submit_until_acknowledged(deployments, model_url, f"job {i}") for i in range(2)]
        for count, kind in enumerate(kinds, 1):
            if count % 4 == 0 or not deployments[0].at_work(jobs[-1]):
                rng.shuffle(deployments)
                jobs.append(submit_until_acknowledged(deployments, model_url, f"job {len(jobs)}"))
            kill_one(deployments, durable, kind, rng)
            time.sleep(rng.uniform(0.05, 0.5))

        a, b = deployments
        documents = [a.ended(job_id, 240) for job_id in jobs]
        assert [b.job(job_id) for job_id in jobs] == documents
        _, listed = b.request("GET", "/api/v1/evaluations/jobs?limit=1000")
        assert sorted(job["resource"]["id"] for job in listed["items"]) == sorted(jobs)
        check(documents)
        for deployment in deployments:
            wait_until(lambda one=deployment: not one.engines(), 10, "the end of all engines")  # type: ignore[misc]
            left = [path for worker in (deployment.data / "runs").iterdir() if worker.is_dir() for path in worker.iterdir()]
            assert left == []
            deployment.stop()
            _, found, trace = deployment.log.read_text().partition("Traceback")
            assert not found, trace[:3000]


def check(documents: list[dict[str, Any]]) -> None:
    """Every run has ended and says the truth: the one result that there is, or a reason that a kill explains."""
    rows = [row for document in documents for row in document["status"]["benchmarks"]]
    results = [row["metrics"] for document in documents for row in document["results"].get("benchmarks", [])]
    for document in documents:
        assert document["status"]["state"] in TERMINAL
        indexes = [row["benchmark_index"] for row in document["status"]["benchmarks"]]
        assert indexes == list(range(_RUNS_PER_JOB))
    completed = [row for row in rows if row["status"] == "completed"]
    assert len(completed) > len(rows) / 2
    assert len(results) == len(completed)
    assert all(metrics == results[0] for metrics in results)
    for row in rows:
        if row["status"] != "completed":
            assert row["status"] == "failed"
            assert row["error_message"]["message_code"] in _REASONS, row["error_message"]
