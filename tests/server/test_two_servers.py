"""Two `assay serve` on one PostgreSQL database: whatever is done through one holds at the other, at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.evalhub.live import until
from tests.postgres import Cluster
from tests.server import catalogue
from tests.server.acting import FIRST, KEY, Worker, framed
from tests.server.client import JOBS, PROVIDERS, Api, Reply, job_body, unique
from tests.server.serving import Served, serving
from tests.server.watching import ALL, Watch, kinds, stream_of


class Pair(NamedTuple):
    """Two servers on one database, each with a data folder of its own; `settings` and `flags` start another."""

    a: Served
    b: Served
    flags: list[str]
    settings: dict[str, str]


@pytest.fixture(scope="module")
def pair(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both are started at the same moment on an empty database."""
    root = tmp_path_factory.mktemp("pair")
    written = catalogue.write(root / "catalogue", catalogue.provider("manual", "true"))
    with postgres.database() as url, ExitStack() as stack:
        folders = [root / name for name in "ab"]
        for folder in folders:
            folder.mkdir()
        flags = ["--catalog", str(written)]
        settings = {"ASSAY_DATABASE": url, "ASSAY_WORKER_KEY": KEY, "ASSAY_LEASE_SECONDS": "3", "ASSAY_GRACE_SECONDS": "0.2"}
        with ThreadPoolExecutor(2) as starting:
            servers = [serving(folder, *flags, worker=False, **settings) for folder in folders]
            a, b = [starting.submit(stack.enter_context, server) for server in servers]
        yield Pair(a.result(), b.result(), flags, settings)


@pytest.fixture
def a(pair: Pair) -> Api:
    return pair.a.api


@pytest.fixture
def b(pair: Pair) -> Api:
    return pair.b.api


@pytest.fixture
def later() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def waiting(later: ThreadPoolExecutor, api: Api, job_id: str) -> Future[Reply]:
    """Wait at a server for the next change of a job."""
    etag = api.get(f"{JOBS}/{job_id}").headers["etag"]
    return later.submit(api.get, f"{JOBS}/{job_id}", if_none_match=etag, prefer="wait=60")


def test_a_job_submitted_at_one_server_is_whole_at_the_other(a: Api, b: Api) -> None:
    job_id = a.submit("b0", "b1", name=unique(), tags=["x"])
    assert b.job(job_id) == a.job(job_id)
    for api in (a, b):
        (found,) = api.get(f"{JOBS}?name={a.job(job_id)['name']}").json["items"]
        assert found["resource"]["id"] == job_id


def test_whoever_waits_at_one_server_hears_of_what_the_other_is_told(a: Api, b: Api, later: ThreadPoolExecutor) -> None:
    job_id = a.submit()
    running = waiting(later, b, job_id)
    assert a.report(job_id, "running").status == 204
    assert running.result().json["status"]["state"] == "running"
    completed = waiting(later, b, job_id)
    assert a.report(job_id, "completed", metrics={"acc": 0.5}).status == 204
    assert completed.result().json["results"]["benchmarks"][0]["metrics"] == {"acc": 0.5}


def test_a_job_is_cancelled_at_the_other_server(a: Api, b: Api, later: ThreadPoolExecutor) -> None:
    job_id = a.submit()
    told = waiting(later, a, job_id)
    assert b.delete(f"{JOBS}/{job_id}").status == 204
    assert told.result().json["status"]["state"] == "cancelled"
    assert a.report(job_id, "completed").status == 409


def test_a_worker_at_one_server_gets_and_stops_what_the_other_is_told(a: Api, b: Api, later: ThreadPoolExecutor) -> None:
    worker = Worker(a)
    job_id = b.submit(priority=FIRST)
    found: list[dict[str, object]] = []
    while not [lease for lease in found if lease["job_id"] == job_id]:
        found = worker.lease(wait_s=30).json["leases"]
    stopped = later.submit(worker.lease, 0, 30)
    until(lambda: b.job(job_id)["status"]["state"], "the job")
    assert b.delete(f"{JOBS}/{job_id}").status == 204
    assert stopped.result().json["check"] is True


def test_a_worker_that_waits_at_one_server_gets_what_is_submitted_at_the_other(
    a: Api, b: Api, later: ThreadPoolExecutor
) -> None:
    worker = Worker(a)
    while worker.lease(free=100).json["leases"]:
        pass  # what other tests have left waiting
    lease = later.submit(worker.lease, 1, 30)
    job_id = b.submit(priority=FIRST)
    assert [one["job_id"] for one in lease.result().json["leases"]] == [job_id]


def test_a_job_deleted_at_one_server_is_gone_at_the_other(a: Api, b: Api) -> None:
    job_id = a.submit(name=unique())
    a.report(job_id, "completed", metrics={"acc": 1})
    assert b.get(f"{JOBS}/{job_id}").status == 200
    assert a.delete(f"{JOBS}/{job_id}?hard_delete=true").status == 204
    for path in ("", "/history", "/logs"):
        assert b.get(f"{JOBS}/{job_id}{path}").status == 404
    assert b.delete(f"{JOBS}/{job_id}?hard_delete=true").status == 404


def test_no_server_answers_from_before_the_others_write(a: Api, b: Api) -> None:
    name = unique()
    page = f"{JOBS}?name={name}"
    for count in range(1, 11):
        writer, reader = (a, b) if count % 2 else (b, a)
        assert reader.get(page).json["total_count"] == count - 1
        job_id = writer.submit(name=name)
        listed = reader.get(page).json
        assert (listed["total_count"], listed["items"][0]["resource"]["id"]) == (count, job_id)
        before = reader.get(f"{JOBS}/{job_id}")
        assert writer.report(job_id, "running").status == 204
        after = reader.get(f"{JOBS}/{job_id}", if_none_match=before.headers["etag"])
        assert (after.status, after.json["status"]["state"]) == (200, "running")
        assert reader.get(page).json["items"][0] == after.json


def test_no_server_answers_from_before_the_others_change_of_a_provider(a: Api, b: Api) -> None:
    body = {"name": unique("p"), "benchmarks": [{"id": "b0", "name": "B0", "category": "general"}]}
    made = a.post(PROVIDERS, body)
    path = f"{PROVIDERS}/{made.json['resource']['id']}"
    for count in range(5):
        writer, reader = (a, b) if count % 2 else (b, a)
        title = f"title {count}"
        patch = [{"op": "add", "path": "/title", "value": title}]
        assert writer.call("PATCH", path, patch).status == 200
        assert reader.get(path).json["title"] == title
        assert title in reader.get(PROVIDERS + "?limit=1000").text
    assert b.delete(path).status == 204
    assert a.get(path).status == 404


def test_the_same_key_at_both_servers_makes_one_job(a: Api, b: Api, later: ThreadPoolExecutor) -> None:
    for _ in range(5):
        key, body = unique("key"), job_body(name="once")
        calls = [later.submit(api.post, JOBS, body, idempotency_key=key) for api in (a, b) * 4]
        replies = [call.result() for call in calls]
        assert {reply.status for reply in replies} == {202}
        assert len({reply.json["resource"]["id"] for reply in replies}) == 1


def test_a_silent_worker_loses_its_run_once_though_both_servers_watch(a: Api, b: Api) -> None:
    held = Worker(a).take(b)
    path = f"{JOBS}/{held.job_id}/history"

    def types() -> list[str]:
        return [event["type"] for event in b.get(path).json["items"]]

    until(lambda: "run.queued" in types(), "the end of the lease")
    again = Worker(b)
    lease = until(lambda: [one for one in again.lease(100).json["leases"] if one["job_id"] == held.job_id], "the next lease")
    assert lease[0]["attempt"] == 2
    assert held.end("completed", metrics={"acc": 1}).code == "stale_fence"
    assert types().count("run.queued") == 1


def test_every_job_counts_in_the_metrics_of_both(a: Api, b: Api) -> None:
    a.submit()

    def jobs(api: Api) -> list[str]:
        return sorted(re.findall(r"^assay_jobs\{.*", api.get("/metrics").text, re.MULTILINE))

    until(lambda: jobs(a) == jobs(b) != [], "the same metrics")


def test_an_artifact_and_a_log_are_where_the_worker_brought_them(a: Api, b: Api) -> None:
    """Files are in the data folder of a server: those that serve them to everybody share it."""
    held = Worker(a).take(a)
    held.append(0, b"1700000000000 hello\n")
    assert a.get(f"{JOBS}/{held.job_id}/logs").text.endswith("hello")
    assert "hello" not in b.get(f"{JOBS}/{held.job_id}/logs").text


def test_each_server_calls_its_worker_otherwise(pair: Pair, tmp_path: Path) -> None:
    """Two of one name would take each other's runs away for ever."""
    with ExitStack() as stack:
        servers = []
        for name in "cd":
            (tmp_path / name).mkdir()
            starting = serving(tmp_path / name, "--slots", "1", *pair.flags, worker=True, **pair.settings)
            servers.append(stack.enter_context(starting))
        jobs = [server.api.submit(priority=FIRST) for server in servers for _ in range(4)]
        for job_id in jobs:
            ended(pair.b.api, job_id)
            events = pair.a.api.get(f"{JOBS}/{job_id}/history").json["items"]
            assert [event["type"] for event in events].count("run.leased") == 1
        assert not [server for server in servers if "refused" in server.log.read_text()]


def ended(api: Api, job_id: str) -> None:
    """Wait for the end of a job."""
    until(lambda: api.job(job_id)["status"]["state"] not in ("pending", "running"), "the end of the job")


def test_events_at_one_server_are_told_to_those_who_watch_at_the_other(a: Api, b: Api) -> None:
    tenant = unique("t")
    a, b = a.as_(x_tenant=tenant), b.as_(x_tenant=tenant)
    with Watch(b, ALL) as everything:
        job_id = a.submit()
        with Watch(b, stream_of(job_id)) as watch:
            assert kinds(watch.until("job.created")) == ["job.created"]
            assert a.report(job_id, "running").status == 204
            assert kinds(watch.until("job.running")) == ["run.running", "job.running"]
            assert b.report(job_id, "completed").status == 204
            rest = list(watch)
        assert [one.kind for one in rest if one.kind != "run.progress"] == ["run.completed", "job.completed", "end"]
        told = everything.until("job.completed")
    assert [one.data for one in told] == a.get(f"{JOBS}/{job_id}/history").json["items"]


def test_what_runs_took_at_one_server_tells_when_others_start_at_the_other(a: Api, b: Api) -> None:
    held = Worker(a).take(a)
    assert held.start().status == 204
    assert held.end("completed").status == 204
    worker = Worker(b, slots=1)
    held = worker.take(b)
    path = f"/api/v1/queue?job_id={b.submit()}"

    def expected() -> bool:
        """Look once the workers of other tests are silent, so that no slot is free."""
        assert worker.beat(held).status == 200
        queue = b.get(path).json
        return queue["slots"]["total"] == 1 and "expected_start_at" in queue["items"][0]

    until(expected, "a forecast")


def test_a_stream_goes_on_at_the_other_server(a: Api, b: Api) -> None:
    job_id = a.submit()
    with Watch(a, stream_of(job_id)) as first:
        created = first.until("job.created")[-1]
    assert b.delete(f"{JOBS}/{job_id}").status == 204
    with Watch(b, stream_of(job_id), last=created.id) as second:
        assert kinds(list(second)) == ["run.cancelled", "job.cancelled"]


def test_all_events_are_told_once_and_in_order_while_both_servers_write(a: Api, b: Api, later: ThreadPoolExecutor) -> None:
    tenant = unique("t")
    a, b = a.as_(x_tenant=tenant), b.as_(x_tenant=tenant)

    def lives(api: Api, other: Api) -> list[str]:
        job_ids = [api.submit() for _ in range(15)]
        for job_id in job_ids:
            other.report(job_id, "completed")
        return job_ids

    with Watch(a, ALL) as at_a, Watch(b, ALL) as at_b:
        working = [later.submit(lives, *pair) for pair in ((a, b), (b, a), (a, a), (b, b))]
        jobs = {job_id for done in working for job_id in done.result()}
        expected = sum(len(a.get(f"{JOBS}/{job_id}/history").json["items"]) for job_id in jobs)
        for watch in (at_a, at_b):
            seen = [told.id for _, told in zip(range(expected), watch, strict=False)]
            assert seen == sorted(set(seen))
            assert len(seen) == expected


def test_a_log_that_grows_at_one_server_is_followed_at_the_other(pair: Pair, tmp_path: Path) -> None:
    """They share a data folder; the second is told of each line that comes to the first."""
    with ExitStack() as stack:
        shared = ["--data", str(tmp_path / "shared")]
        servers = []
        for name in "ef":
            (tmp_path / name).mkdir()
            servers.append(
                stack.enter_context(serving(tmp_path / name, *pair.flags, *shared, worker=False, **pair.settings)).api
            )
        held, size = Worker(servers[0]).take(servers[0]), 0
        lines = servers[1].lines(f"{JOBS}/{held.job_id}/benchmarks/0/logs?follow=true")
        for number in range(5):
            size = held.append(size, framed(f"line {number}")).json["size"]
            assert next(lines) == b"line %d\n" % number
        assert held.end("completed").status == 204
        assert list(lines) == []
