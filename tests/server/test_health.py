"""Health and metrics."""

from __future__ import annotations

import datetime
import resource
import sqlite3
from pathlib import Path

from assay import __version__
from tests.server import catalogue
from tests.server.client import JOBS, Api, job_body, unique
from tests.server.serving import Served, serving


def test_a_server_that_works_is_healthy_and_says_what_it_is(api: Api, served: Served) -> None:
    reply = api.get("/api/v1/health")
    assert reply.status == 200
    assert list(reply.json)[:2] == ["status", "timestamp"]
    assert (reply.json["status"], reply.json["build"], reply.json["pid"]) == ("healthy", __version__, served.process.pid)
    assert reply.json["checks"]["store"] == "ok"
    assert datetime.datetime.fromisoformat(reply.json["timestamp"]).tzinfo is not None


def test_health_needs_no_identity_and_takes_no_notice_of_one(api: Api) -> None:
    assert api.as_(x_tenant="nobody", authorization="Bearer wrong").get("/api/v1/health?x=1").status == 200


def metric(api: Api, line: str) -> float:
    for found in api.get("/metrics").text.splitlines():
        if found.startswith(line + " "):
            return float(found.rpartition(" ")[2])
    return 0.0


def test_requests_are_counted_by_route_and_status(api: Api) -> None:
    unknown = 'assay_http_requests_total{method="GET",route="/api/v1/evaluations/jobs/{job_id}",status="404"}'
    before = metric(api, unknown)
    for _ in range(3):
        api.get(f"{JOBS}/{unique()}")
    assert metric(api, unknown) == before + 3


def test_an_answer_out_of_memory_is_an_answer_like_any_other(api: Api) -> None:
    counted = 'assay_http_requests_total{method="GET",route="/api/v1/health",status="200"}'
    before = metric(api, counted)
    origin = "http://localhost:3000"
    replies = [api.get("/api/v1/health", x_global_transaction_id="a"), api.get("/api/v1/health", origin=origin)]
    replies += [api.get("/api/v1/health") for _ in range(20)]
    assert [reply.status for reply in replies] == [200] * 22
    assert replies[0].headers["x-global-transaction-id"] == "a"
    assert replies[1].headers["access-control-allow-origin"] == origin
    assert len({reply.headers["x-global-transaction-id"] for reply in replies}) == 22
    assert len({reply.text for reply in replies}) < 22, "none was out of memory"
    assert metric(api, counted) == before + 22


def test_unknown_paths_and_methods_do_not_make_new_series(api: Api) -> None:
    api.get("/warm-up")
    api.call("BREW", "/warm-up")
    api.call("BREW", JOBS)
    api.get("/metrics")
    before = len(api.get("/metrics").text.splitlines())
    for _ in range(5):
        api.get("/" + unique())
        api.call(unique("M").replace("-", "").upper(), JOBS)
        api.call(unique("M").replace("-", "").upper(), "/" + unique())
    assert len(api.get("/metrics").text.splitlines()) == before


def test_jobs_are_counted_by_state_from_the_database(api: Api) -> None:
    before = metric(api, 'assay_jobs{state="cancelled"}')
    api.delete(f"{JOBS}/{api.submit()}")
    assert metric(api, 'assay_jobs{state="cancelled"}') == before + 1
    assert metric(api, 'assay_runs{state="queued"}') >= 0


def test_metrics_are_prometheus_text(api: Api) -> None:
    reply = api.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE assay_http_request_duration_seconds histogram" in reply.text


def test_a_restarted_server_has_everything_it_answered_for(tmp_path: Path) -> None:
    flags = ("--catalog", str(catalogue.write(tmp_path / "catalogue", catalogue.provider("manual", "true"))))
    with serving(tmp_path, *flags) as first:
        ids = [first.api.submit(name=f"job {i}") for i in range(3)]
        assert first.api.report(ids[0], "completed", metrics={"a": 1}).status == 204
        before = first.api.get(JOBS).json
    with serving(tmp_path, *flags) as second:
        assert second.api.get(JOBS).json == before
        assert [second.api.job(job_id)["status"]["state"] for job_id in ids] == ["completed", "pending", "pending"]
    with sqlite3.connect(tmp_path / "data" / "assay.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_server_that_cannot_write_is_not_healthy_until_it_can(tmp_path: Path) -> None:
    flags = ("--catalog", str(catalogue.write(tmp_path / "catalogue", catalogue.provider("manual", "true"))))
    with serving(tmp_path, *flags) as running:
        pid = running.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))  # as a full disk, for this process alone
        refused = running.api.post(JOBS, job_body())
        assert (refused.status, refused.code) == (503, "store_unavailable")
        for _ in range(2):
            reply = running.api.get("/api/v1/health")
            assert (reply.status, reply.json["status"]) == (503, "unhealthy")
            assert "The database is not available" in reply.json["checks"]["store"]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
        assert running.api.get("/api/v1/health").status == 200
        assert running.api.post(JOBS, job_body()).status == 202
