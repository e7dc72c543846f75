"""nginx, as in examples/load-balancer, before two servers on one PostgreSQL and one Redis; their worker knows nginx alone.

Whatever a client does goes to either server, and either may die.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from evalhub.client import SyncEvalHubClient
from evalhub.models import BenchmarkConfig, JobSubmissionRequest, ModelConfig

from assay.client.errors import ClientError
from assay.client.evaluations import Evaluations, ended, identity, state
from assay.client.http import Http
from tests import evalhub
from tests.nginx import load_balancer
from tests.postgres import Cluster
from tests.redis_server import PASSWORD, RedisServer, redis_server
from tests.server import catalogue
from tests.server.acting import KEY
from tests.server.client import unique
from tests.system.deployment import Deployment, wait_until

_BY_HAND = Path(evalhub.__file__).with_name("by_hand.py")
_DONE = ["post", {"status": "completed", "metrics": {"acc": 0.75}}]


class Site(NamedTuple):
    """Two servers, their Redis, and the address at which nginx passes on to both."""

    url: str
    servers: tuple[Deployment, Deployment]
    redis: RedisServer
    evaluations: Evaluations


@pytest.fixture(scope="module")
def site(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("site")
    adapter = f"exec {shlex.quote(sys.executable)} -I -S {shlex.quote(str(_BY_HAND))}"
    written = catalogue.write(root / "catalogue", catalogue.provider("by-hand", adapter))
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        environment = {
            "ASSAY_DATABASE": stack.enter_context(postgres.database()),
            "ASSAY_REDIS": redis.url,
            "ASSAY_WORKER_KEY": KEY,
            "ASSAY_LEASE_SECONDS": "10",
        }
        flags = ["--no-worker", "--catalog", str(written), "--data", str(root / "shared")]
        servers = (
            Deployment(root / "a", *flags, environment=environment),
            Deployment(root / "b", *flags, environment=environment),
        )
        for server in servers:
            server.start()
            stack.callback(server.stop)
        url = stack.enter_context(load_balancer(root / "nginx", servers[0].url, servers[1].url))
        stack.enter_context(_worker(root, url))
        yield Site(url, servers, redis, Evaluations(Http(url)))


@contextlib.contextmanager
def _worker(root: Path, url: str) -> Iterator[None]:
    """Run a worker of many slots."""
    command = [sys.executable, "-m", "assay", "worker", "--server", url, "--name", "far-away", "--slots", "8"]
    variables = {**os.environ, "ASSAY_WORKER_KEY": KEY, "ASSAY_DATA": str(root / "worker")}
    with (root / "worker.log").open("w") as log, subprocess.Popen(command, env=variables, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.terminate()


def submission(*steps: Sequence[Any], name: str = "") -> dict[str, Any]:
    benchmark = {"id": "b0", "provider_id": "by-hand", "parameters": {"steps": list(steps)}}
    return {"name": name or unique(), "model": {"url": "http://m.example/v1", "name": "m"}, "benchmarks": [benchmark]}


def insisting(call: Any, *given: Any, **named: Any) -> Any:
    """Repeat a call until a server takes it, as a user would."""

    def attempt() -> list[Any] | None:
        try:
            return [call(*given, **named)]
        except ClientError as error:
            if getattr(error, "status", 502) in (502, 503, 504):
                return None
            raise

    return wait_until(attempt, 120, "an answer")[0]


def the_end(evaluations: Evaluations, job_id: str) -> dict[str, Any]:
    """Wait for the end of a job, by long polls."""
    seen = insisting(evaluations.look, job_id)
    while not ended(seen.job):
        seen = insisting(evaluations.wait_for_change, job_id, seen.etag, 30) or seen
    found: dict[str, Any] = seen.job
    return found


def until_first(pieces: Iterator[bytes]) -> bytes:
    """Read a log up to its first line."""
    read = b""
    while b"first" not in read:
        read += next(pieces)
    return read


def test_a_followed_log_comes_through_line_by_line(site: Site, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = site.evaluations.submit(submission(["print", "first"], ["wait", str(gate)], ["print", "second"], _DONE))
    pieces = site.evaluations.logs(identity(job), 0, follow=True)
    read = until_first(pieces)
    assert b"second" not in read
    gate.touch()
    read += b"".join(pieces)
    assert read.count(b"first\n") == read.splitlines().count(b"second") == 1
    assert state(the_end(site.evaluations, identity(job))) == "completed"


def test_a_long_poll_is_answered_as_soon_as_the_job_changes(site: Site, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job_id = identity(site.evaluations.submit(submission(["wait", str(gate)], _DONE)))
    seen = site.evaluations.look(job_id)
    while state(seen.job) != "running":
        seen = site.evaluations.wait_for_change(job_id, seen.etag, 30) or seen
    with ThreadPoolExecutor(4) as pool:  # of connections of their own, so at both servers
        waits = [pool.submit(site.evaluations.wait_for_change, job_id, seen.etag, 600) for _ in range(4)]
        gate.touch()
        for wait in waits:
            changed = wait.result()
            assert changed is not None
            assert changed.etag != seen.etag


def test_the_official_client_works_through_it(site: Site) -> None:
    with SyncEvalHubClient(base_url=site.url) as client:
        benchmark = BenchmarkConfig(id="b0", provider_id="by-hand", parameters={"steps": [["print", "hello"], _DONE]})
        stuck = BenchmarkConfig(id="b0", provider_id="by-hand", parameters={"steps": [["sleep", 600]]})
        model = ModelConfig(url="http://m.example/v1", name="m")
        job = client.jobs.submit(JobSubmissionRequest(name=unique(), model=model, benchmarks=[benchmark]))
        done = client.jobs.wait_for_completion(job.id, timeout=120, poll_interval=0.1)
        assert done.state == "completed"
        waiting = client.jobs.submit(JobSubmissionRequest(name=unique(), model=model, benchmarks=[stuck]))
        client.jobs.cancel(waiting.id)
        assert client.jobs.wait_for_completion(waiting.id, timeout=120, poll_interval=0.1).state == "cancelled"


def test_one_server_after_the_other_dies_and_nothing_is_lost(site: Site) -> None:
    """Jobs are submitted twice with one key, waited for, followed and cancelled all the while."""
    prefix, kept, cancelled = unique(), {}, []
    over = threading.Event()

    def work(n: int) -> None:
        steps = [["print", f"line {n}"], ["sleep", 600] if n % 4 == 0 else _DONE]
        body, key = submission(*steps, name=f"{prefix}-{n}"), f"{prefix} {n}"
        job_id = identity(insisting(site.evaluations.submit, body, key))
        assert identity(insisting(site.evaluations.submit, body, key)) == job_id
        kept[n] = job_id
        if n % 4 == 0:
            insisting(site.evaluations.cancel, job_id)
            cancelled.append(job_id)

    def kills() -> None:
        turn = 0
        while not over.is_set():
            server = site.servers[turn % 2]
            server.kill()
            if turn % 3 == 0:
                site.redis.kill()
                site.redis.start()
            elif turn % 3 == 1:
                site.redis.ask("FLUSHALL")
            server.start()
            turn += 1

    with ThreadPoolExecutor(5) as pool:
        killing = pool.submit(kills)
        try:
            for done in [pool.submit(work, n) for n in range(40)]:
                done.result(300)
        finally:
            over.set()
        killing.result(120)

    for n, job_id in kept.items():
        job = the_end(site.evaluations, job_id)
        assert state(job) == ("cancelled" if job_id in cancelled else "completed"), job["status"]
        if state(job) == "completed":
            (row,) = job["results"]["benchmarks"]
            assert row["metrics"] == {"acc": 0.75}
            assert b"line %d" % n in b"".join(site.evaluations.logs(job_id)).splitlines()
    listed = [identity(job) for job in site.evaluations.iterate() if str(job["name"]).startswith(f"{prefix}-")]
    assert sorted(listed) == sorted(kept.values())
    for server in site.servers:
        log = server.log.read_text()
        assert "Traceback" not in log, log[-3000:]
        assert PASSWORD not in log


def test_a_followed_log_ends_with_its_server_and_goes_on_at_the_other(site: Site, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    steps = ["print", "first"], ["wait", str(gate)], ["print", "second"], _DONE
    job_id = identity(site.evaluations.submit(submission(*steps)))
    for server in site.servers:
        pieces = insisting(site.evaluations.logs, job_id, 0, follow=True)
        until_first(pieces)
        server.kill()
        again = insisting(lambda: b"".join(site.evaluations.logs(job_id, 0)))
        assert again.splitlines() == [b"first"]
        server.start()
    gate.touch()
    assert state(the_end(site.evaluations, job_id)) == "completed"
    assert b"".join(site.evaluations.logs(job_id, 0)).splitlines().count(b"second") == 1
