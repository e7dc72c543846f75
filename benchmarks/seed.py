"""Seeding: the same providers and the same finished jobs on each server, through its own API."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.load import Ask, Connection
from benchmarks.servers import Server

JOBS = "/api/v1/evaluations/jobs"
OFFERED = 50
"""Benchmarks of the provider `RUN`; a larger job has some of them several times."""
RUN, IDLE = "bench-run", "bench-idle"
"""A provider whose command does nothing, and one without a command."""

_WORDS = [
    "latency",
    "recall",
    "answer",
    "prompt",
    "token",
    "context",
    "judge",
    "sample",
    "choice",
    "weight",
    "signal",
    "corpus",
    "metric",
    "policy",
]


def write_catalogue(folder: Path) -> None:
    """Write eleven providers, about 150 kB as JSON, in the form that both servers read."""
    providers = folder / "providers"
    providers.mkdir(parents=True, exist_ok=True)
    for name in (RUN, IDLE, *(f"bench-{i:02}" for i in range(9))):
        runtime = {} if name == IDLE else {"runtime": {"local": {"command": "true"}}}
        benchmarks = [_benchmark(name, i) for i in range(OFFERED if name == RUN else 20)]
        entry = {"id": name, "name": name, "title": name.title(), "tags": ["bench"], "benchmarks": benchmarks, **runtime}
        (providers / f"{name}.yaml").write_text(yaml.safe_dump(entry, sort_keys=False))


def _benchmark(provider: str, i: int) -> dict[str, Any]:
    return {
        "id": f"b{i}",
        "name": f"{provider} benchmark {i}",
        "category": ("reasoning", "safety", "math")[i % 3],
        "description": _prose(i, 45),
        "metrics": ["acc", "acc_norm", "acc_stderr"],
        "num_few_shot": 0,
        "dataset_size": 1000 + i,
        "tags": ["reasoning", "english"],
    }


def _prose(seed: int, words: int) -> str:
    return " ".join(random.Random(seed).choices(_WORDS, k=words))


def submission(i: int, provider: str = RUN, benchmarks: int = 2) -> str:
    """Return the JSON of job `i`."""
    return json.dumps(
        {
            "name": f"job-{i}",
            "description": _prose(i, 20),
            "tags": [f"t{i % 10}", "nightly"],
            "model": {"url": "http://127.0.0.1:9/v1", "name": f"model-{i % 7}", "parameters": {"temperature": 0}},
            "benchmarks": [
                {
                    "id": f"b{n % OFFERED}",
                    "provider_id": provider,
                    "weight": 1.0,
                    "parameters": {"num_few_shot": 5, "limit": 100},
                }
                for n in range(benchmarks)
            ],
        }
    )


def event(index: int, status: str, job: int = 0) -> str:
    """Return the JSON of an event about one benchmark of a job."""
    body: dict[str, Any] = {"provider_id": RUN, "id": f"b{index % OFFERED}", "benchmark_index": index, "status": status}
    if status == "running":
        body["phase"] = "running_evaluation"
    elif status == "failed":
        message = f"The model stopped to answer at sample {job % 100}."
        body["error_message"] = {"message": message, "message_code": "model_unavailable", "message_origin": "adapter"}
    else:
        score = (job * 7919 + index) % 1000 / 1000
        body["metrics"] = {"acc": score, "acc_norm": score / 2, "acc_stderr": 0.012, "n": 100}
        body["completed_at"] = "2026-01-01T00:00:00Z"
        body["additional_info"] = {"dataset": _prose(job, 12), "seed": job}
    return json.dumps({"benchmark_status_event": body})


async def submit(connection: Connection, body: str) -> str:
    """Submit a job; return its id."""
    answer = json.loads(await connection.expect(Ask("POST", JOBS, body), 202))
    return str(answer["resource"]["id"])


async def finished_jobs(server: Server, count: int, connections: int = 8) -> list[str]:
    """Make `count` jobs of two benchmarks, seven of ten completed, one failed, two partially failed; return their ids."""
    numbers = itertools.count()
    ids: list[str] = []

    async def one() -> None:
        connection = Connection(server)
        for i in numbers:
            if i >= count:
                break
            job_id = await submit(connection, submission(i))
            for n, status in enumerate(ends(i)):
                await connection.expect(Ask("POST", f"{JOBS}/{job_id}/events", event(n, status, i)), 204)
            ids.append(job_id)
        connection.close()

    await asyncio.gather(*[one() for _ in range(connections)])
    return ids


def ends(i: int) -> tuple[str, str]:
    share = i // 10 % 10
    return ("completed" if share < 9 else "failed"), ("completed" if share < 7 else "failed")


async def open_jobs(server: Server, count: int, benchmarks: int) -> list[str]:
    """Make `count` jobs that wait for reports of their many benchmarks; return their ids."""
    connection = Connection(server)
    ids = [await submit(connection, submission(i, benchmarks=benchmarks)) for i in range(count)]
    connection.close()
    return ids


async def fill(server: Server, bodies: Sequence[str], connections: int = 8) -> None:
    """Have a server render, and keep, the document of each of these jobs, and delete the jobs for good."""
    left = iter(bodies)

    async def one() -> None:
        connection = Connection(server)
        for body in left:
            path = f"{JOBS}/{await submit(connection, body)}"
            await connection.expect(Ask("GET", path), 200)
            await connection.expect(Ask("DELETE", f"{path}?hard_delete=true"), 204)
        connection.close()

    await asyncio.gather(*[one() for _ in range(connections)])
