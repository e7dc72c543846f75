"""Whatever is killed, whenever: every run ends, what it says is true, and no process is left."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from .deployment import TERMINAL, Deployment, kill, practice_model, wait_until

_RUNS_PER_JOB = 10
_KILLS = 50
_REASONS = {"worker_lost", "lease_lost", "engine_died", "worker_error"}


def _submit_until_acknowledged(deployment: Deployment, model_url: str, key: str) -> str:
    benchmarks = [
        {"provider_id": "practice", "id": "arithmetic", "parameters": {"num_examples": 4, "num_concurrent": 2}}
        for _ in range(_RUNS_PER_JOB)
    ]
    body = {"name": key, "model": {"url": model_url, "name": "practice"}, "benchmarks": benchmarks}

    def post() -> str | None:
        try:
            status, answer = deployment.request("POST", "/api/v1/evaluations/jobs", body, **{"Idempotency-Key": key})
        except OSError:
            return None
        return str(answer["resource"]["id"]) if status == 202 else None

    found: str = wait_until(post, 60, f"the acknowledgement of {key}")
    return found


def _kill_one(deployment: Deployment, kind: str, rng: random.Random) -> None:
    """Kill one process of a kind as soon as there is one."""
    if kind == "server":
        deployment.kill()
        deployment.start()
        return
    alive = {"worker": deployment.workers, "host": deployment.engine_hosts, "engine": deployment.engines}[kind]
    kill(rng.choice(wait_until(alive, 60, f"a process to kill: {kind}")))


def test_fifty_random_kills_during_a_hundred_runs(deploy: Callable[..., Deployment]) -> None:
    rng = random.Random(20261121)
    with practice_model("--latency-ms", "80") as model_url:
        deployment = deploy("--slots", "3", ASSAY_LEASE_SECONDS="4", ASSAY_GRACE_SECONDS="1")
        kinds = ["server", "worker", "host", "engine"] * (_KILLS // 4) + ["worker", "host"]
        rng.shuffle(kinds)
        jobs = [_submit_until_acknowledged(deployment, model_url, f"job {i}") for i in range(2)]
        for count, kind in enumerate(kinds, 1):
            if count % 5 == 0 or not deployment.at_work(jobs[-1]):
                jobs.append(_submit_until_acknowledged(deployment, model_url, f"job {len(jobs)}"))
            _kill_one(deployment, kind, rng)
            time.sleep(rng.uniform(0.05, 0.5))

        documents = [deployment.ended(job_id, 180) for job_id in jobs]
        expected = None
        for document in documents:
            rows = document["status"]["benchmarks"]
            results = {row["benchmark_index"]: row for row in document["results"].get("benchmarks", [])}
            assert document["status"]["state"] in TERMINAL
            assert [row["benchmark_index"] for row in rows] == list(range(_RUNS_PER_JOB))
            for row in rows:
                if row["status"] == "completed":
                    metrics = results[row["benchmark_index"]]["metrics"]
                    expected = expected or metrics
                    assert metrics == expected
                else:
                    assert row["status"] == "failed"
                    assert row["error_message"]["message_code"] in _REASONS, row["error_message"]
        completed = sum(row["status"] == "completed" for d in documents for row in d["status"]["benchmarks"])
        assert completed > _RUNS_PER_JOB * len(jobs) / 2
        wait_until(lambda: not deployment.engines(), 10, "the end of all engines")
        assert not list((deployment.data / "runs" / "local").iterdir())
