"""PostgreSQL goes away and comes back under a running server: 503 meanwhile, nothing lost, and nobody has to restart it."""

from __future__ import annotations

import concurrent.futures
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.evalhub.live import until
from tests.postgres import Cluster, cluster
from tests.server import catalogue
from tests.server.acting import KEY, Worker
from tests.server.client import JOBS, PROVIDERS, Api, Reply, job_body, unique
from tests.server.serving import Served, serving


@pytest.fixture(scope="module")
def durable() -> Iterator[Cluster]:
    """A PostgreSQL server that may be killed: it keeps what it has acknowledged."""
    with cluster(durable=True) as running:
        yield running


@pytest.fixture
def served(durable: Cluster, tmp_path: Path) -> Iterator[Served]:
    written = catalogue.write(tmp_path / "catalogue", catalogue.provider("manual", "true"))
    settings = {"ASSAY_WORKER_KEY": KEY, "ASSAY_LEASE_SECONDS": "600"}
    with (
        durable.database() as url,
        serving(tmp_path, "--catalog", str(written), worker=False, ASSAY_DATABASE=url, **settings) as running,
    ):
        yield running


def killed(cluster: Cluster) -> None:
    cluster.kill()


def stopped(cluster: Cluster) -> None:
    cluster.stop()


def stopped_at_once(cluster: Cluster) -> None:
    cluster.stop(signal.SIGQUIT)


ENDS = pytest.mark.parametrize("end", [killed, stopped, stopped_at_once])


def refused(reply: Reply) -> None:
    """The answer says what is wrong and when to try again."""
    assert (reply.status, reply.code) == (503, "store_unavailable"), reply.text
    assert "The database is not available: PostgreSQL does not answer. Nothing was lost; see that it runs" in reply.message
    assert int(reply.headers["retry-after"]) > 0


@ENDS
def test_every_call_is_refused_in_words_and_works_again_by_itself(
    served: Served, durable: Cluster, end: Callable[[Cluster], None]
) -> None:
    api = served.api
    worker = Worker(api)
    held = worker.take(api)
    job_id, key = api.submit(), unique("key")
    end(durable)
    try:
        refused(api.post(JOBS, job_body(), idempotency_key=key))
        refused(api.get(f"{JOBS}/{job_id}"))
        refused(api.get(JOBS))
        refused(api.delete(f"{JOBS}/{job_id}"))
        refused(api.delete(f"{JOBS}/{job_id}?hard_delete=true"))
        refused(api.report(job_id, "running"))
        refused(api.get(f"{PROVIDERS}/unknown"))
        refused(api.get(f"{JOBS}/{job_id}/history"))
        refused(worker.beat(held))
        refused(worker.lease())
        refused(held.end("completed", metrics={"acc": 1}))
        health = api.get("/api/v1/health")
        assert (health.status, health.json["status"]) == (503, "unhealthy")
        assert "PostgreSQL does not answer" in health.json["checks"]["store"]
    finally:
        durable.start()
    assert api.get("/api/v1/health").status == 200
    assert api.job(job_id)["status"]["state"] == "pending"
    assert worker.beat(held).json == {"stop": [], "state": "active"}
    assert held.end("completed", metrics={"acc": 1}).status == 204
    assert api.post(JOBS, job_body(), idempotency_key=key).status == 202
    assert "Traceback" not in served.log.read_text()


@ENDS
def test_whoever_waits_through_an_outage_still_hears_of_the_change(
    served: Served, durable: Cluster, end: Callable[[Cluster], None], tmp_path: Path
) -> None:
    api = served.api
    job_id = api.submit()
    etag = api.get(f"{JOBS}/{job_id}").headers["etag"]
    with ThreadPoolExecutor() as later:
        told = later.submit(api.get, f"{JOBS}/{job_id}", if_none_match=etag, prefer="wait=60")
        end(durable)
        durable.start()
        assert until(lambda: api.report(job_id, "running").status == 204, "an accepted report")
        answer = told.result()
        if answer.status == 503:  # it asked while nobody answered
            refused(answer)
            answer = api.get(f"{JOBS}/{job_id}", if_none_match=etag, prefer="wait=60")
        assert (answer.status, answer.json["status"]["state"]) == (200, "running")


def test_what_is_acknowledged_while_postgres_is_killed_again_and_again_is_there_once(
    served: Served, durable: Cluster
) -> None:
    acknowledged: dict[str, str] = {}
    name, stop = unique(), False

    def submit(number: int) -> None:
        api = Api(served.api.url)
        for count in range(10_000):
            if stop:
                return
            key = f"{name}-{number}-{count}"

            def post(key: str = key) -> Reply | None:
                reply = api.post(JOBS, job_body("b0", "b1", name=name, tags=["x", "y"]), idempotency_key=key)
                if reply.status == 503:
                    assert reply.code == "store_unavailable"
                    return None
                return reply

            reply = until(post, "an acknowledgement")
            assert reply.status == 202, reply.text
            acknowledged[key] = reply.json["resource"]["id"]

    with ThreadPoolExecutor(4) as pool:
        submitting = [pool.submit(submit, number) for number in range(4)]
        for _ in range(4):
            enough = len(acknowledged) + 20
            while len(acknowledged) < enough and not any(one.done() for one in submitting):
                concurrent.futures.wait(submitting, timeout=0.05)
            durable.kill()
            durable.start()
        stop = True
        for one in submitting:
            one.result()
    found = served.api.get(f"{JOBS}?name={name}&limit=100000").json
    assert sorted(job["resource"]["id"] for job in found["items"]) == sorted(acknowledged.values())
    assert all(len(job["benchmarks"]) == 2 for job in found["items"])
