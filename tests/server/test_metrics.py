"""EvalHub's metrics: what a dashboard made for an EvalHub server finds in our scrape."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.server.metrics import CONTENT_TYPE
from tests.server import catalogue
from tests.server.acting import KEY, Worker
from tests.server.client import JOBS, Api, unique
from tests.server.scrape import Scrape
from tests.server.serving import serving

OTEL = "0 5 10 25 50 75 100 250 500 750 1000 2500 5000 7500 10000 +Inf"
DOUBLING = "1 2 4 8 16 32 64 128 256 512 1024 2048 4096 8192 +Inf"
API = "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf"
HTTP = "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 +Inf"
HTTP_LABELS = (
    "http_request_method http_response_status_code http_route network_protocol_name network_protocol_version "
    "server_address server_port url_scheme"
)
POOL = "db_client_connection_pool_name db_namespace db_system_name"
TABLE = {
    "evalhub_evaluation_jobs": ("counter", "status provider collection", ""),
    "evalhub_evaluation_job_duration_seconds": ("histogram", "provider collection", DOUBLING),
    "evalhub_evaluation_jobs_active": ("gauge", "", ""),
    "evalhub_evaluation_queue_depth": ("gauge", "", ""),
    "evalhub_benchmark_completions": ("counter", "provider benchmark_name status", ""),
    "evalhub_benchmark_duration_seconds": ("histogram", "provider benchmark_name", DOUBLING),
    "evalhub_evaluation_errors": ("counter", "error_type provider", ""),
    "evalhub_api_request_duration_seconds": ("histogram", "method endpoint provider collection", API),
    "evalhub_eval_api_request_duration_seconds": ("histogram", "method endpoint provider collection tenant", OTEL),
    "evalhub_eval_active_jobs": ("gauge", "tenant", ""),
    "evalhub_eval_queue_depth": ("gauge", "tenant", ""),
    "evalhub_eval_job_state_transitions": ("counter", "status provider collection tenant", ""),
    "evalhub_eval_job_duration_seconds": ("histogram", "provider collection tenant", OTEL),
    "evalhub_eval_benchmark_completions": ("counter", "provider benchmark_name status tenant", ""),
    "evalhub_evaluation_job_actions": ("counter", "action runtime tenant", ""),
    "evalhub_evaluation_job_completions": ("counter", "state tenant", ""),
    "http_server_request_duration_seconds": ("histogram", HTTP_LABELS, HTTP),
    "http_server_request_body_size_bytes": ("histogram", HTTP_LABELS, OTEL),
    "http_server_response_body_size_bytes": ("histogram", HTTP_LABELS, OTEL),
    "http_server_request_count": ("counter", "http_request_method http_response_status_code http_route", ""),
    "http_server_active_requests": ("gauge", "http_request_method url_scheme", ""),
    "db_client_connection_count": ("gauge", f"{POOL} db_client_connection_state", ""),
    "db_client_connection_max": ("gauge", POOL, ""),
    "db_client_connection_idle_max": ("gauge", POOL, ""),
}
"""Kind, labels and bounds of each metric, as an EvalHub server has them."""

TRANSITIONS = "evalhub_eval_job_state_transitions_total"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server on which a run that ended without a word fails soon, and a worker's silence lasts."""
    folder = tmp_path_factory.mktemp("metrics")
    written = catalogue.write(
        folder / "catalogue",
        catalogue.provider("manual", "true"),
        catalogue.provider("second", "true"),
    )
    flags = ("--catalog", str(written))
    with serving(folder, *flags, ASSAY_WORKER_KEY=KEY, ASSAY_LEASE_SECONDS="600", ASSAY_GRACE_SECONDS="0.1") as running:
        yield running.api


@pytest.fixture
def tenant() -> str:
    """A tenant whose counters nobody else moves."""
    return unique("tenant")


@pytest.fixture
def own(api: Api, tenant: str) -> Api:
    """The server as the tenant's users reach it."""
    return api.as_(x_tenant=tenant)


def await_state(api: Api, job_id: str, state: str) -> None:
    """Wait until a job has a state, as clients do: each answer comes when the job has changed."""
    reply = api.get(f"{JOBS}/{job_id}")
    while reply.json["status"]["state"] != state:
        etag = reply.headers["etag"]
        changed = api.get(f"{JOBS}/{job_id}", if_none_match=etag, prefer="wait=20")
        reply = changed if changed.status == 200 else reply


def states(api: Api, tenant: str) -> dict[str, float]:
    """How often jobs of a tenant went to each state."""
    return {state: n for (state,), n in Scrape.of(api).by(TRANSITIONS, "status", tenant=tenant).items()}


def benchmarks(api: Api, tenant: str) -> dict[tuple[str, ...], float]:
    """How often benchmarks of a tenant ended how."""
    return Scrape.of(api).by("evalhub_eval_benchmark_completions_total", "benchmark_name", "status", tenant=tenant)


def test_every_metric_has_the_kind_labels_and_bounds_that_evalhub_gives_it(own: Api) -> None:
    own.report(own.submit(), "completed", started_at="2026-01-01T00:00:00Z", completed_at="2026-01-01T00:00:01Z")
    own.report(own.submit(), "failed")
    scrape = Scrape.of(own)
    for name, (kind, labels, bounds) in TABLE.items():
        assert scrape.families[name].type == kind, name
        assert scrape.labels(name) == {tuple(sorted(labels.split()))}, name
        assert scrape.bounds(name) == set(bounds.split()), name
    assert scrape.value("target_info", service_name="assay") == 1


def test_a_scrape_says_what_it_is_as_evalhub_does(api: Api) -> None:
    assert CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
    assert api.get("/metrics").headers["content-type"] == CONTENT_TYPE


def test_a_job_that_a_worker_completes(api: Api, own: Api, tenant: str) -> None:
    worker = Worker(api)
    held = worker.take(own)
    held.start()
    assert held.end("completed", metrics={"acc": 1.0}).status == 204
    assert states(api, tenant) == {"pending": 1, "running": 1, "completed": 1}
    assert benchmarks(api, tenant) == {("b0", "completed"): 1}
    scrape = Scrape.of(api)
    assert scrape.by("evalhub_evaluation_job_completions_total", "state", tenant=tenant) == {("completed",): 1}
    assert scrape.value("evalhub_eval_job_duration_seconds_count", provider="manual", tenant=tenant) == 1
    assert 0 < scrape.value("evalhub_eval_job_duration_seconds_sum", tenant=tenant) < 600
    assert scrape.by("evalhub_evaluation_job_actions_total", "action", "runtime", tenant=tenant) == {("created", "local"): 1}


def test_a_job_that_a_worker_fails_is_an_error(api: Api, own: Api, tenant: str) -> None:
    before = Scrape.of(api).value("evalhub_evaluation_errors_total", error_type="job_failed", provider="manual")
    held = Worker(api).take(own)
    held.start()
    held.end("failed", code="engine_failed", message="it broke")
    assert states(api, tenant) == {"pending": 1, "running": 1, "failed": 1}
    assert benchmarks(api, tenant) == {("b0", "failed"): 1}
    assert Scrape.of(api).value("evalhub_evaluation_errors_total", error_type="job_failed", provider="manual") == before + 1


def test_a_job_that_fails_in_part_counts_once_under_its_first_provider(api: Api, own: Api, tenant: str) -> None:
    before = Scrape.of(api)
    listed = [{"id": "b1", "provider_id": "second"}, {"id": "b0", "provider_id": "manual"}]
    job_id = own.submit(benchmarks=listed)
    own.report(job_id, "completed", provider="second", benchmark="b1")
    own.report(job_id, "failed", provider="manual", benchmark="b0", benchmark_index=1)
    scrape = Scrape.of(api)
    assert scrape.by(TRANSITIONS, "status", "provider", tenant=tenant) == {
        ("pending", "second"): 1,
        ("running", "second"): 1,
        ("partially_failed", "second"): 1,
    }
    assert benchmarks(api, tenant) == {("b1", "completed"): 1, ("b0", "failed"): 1}
    errors = "evalhub_evaluation_errors_total"
    assert scrape.value(errors, provider="second") == before.value(errors, provider="second") + 1
    assert scrape.value(errors, provider="manual") == before.value(errors, provider="manual")


def test_a_cancelled_job_and_each_of_its_benchmarks_count_once(api: Api, own: Api, tenant: str) -> None:
    job_id = own.submit("b0", "b1")
    for _ in range(2):
        assert own.delete(f"{JOBS}/{job_id}").status == 204
    assert states(api, tenant) == {"pending": 1, "cancelled": 1}
    assert benchmarks(api, tenant) == {("b0", "cancelled"): 1, ("b1", "cancelled"): 1}
    scrape = Scrape.of(api)
    assert scrape.by("evalhub_evaluation_job_actions_total", "action", tenant=tenant) == {("created",): 1, ("cancelled",): 1}
    assert scrape.value("evalhub_eval_job_duration_seconds_count", tenant=tenant) == 1


def test_what_is_refused_is_not_counted(api: Api, own: Api, tenant: str) -> None:
    job_id = own.submit()
    own.report(job_id, "completed")
    assert own.delete(f"{JOBS}/{job_id}").status == 409
    assert own.report(job_id, "failed").status == 409
    assert own.report(unique(), "failed").status == 404
    assert own.post(JOBS, {"name": "without benchmarks"}).status == 400
    assert states(api, tenant) == {"pending": 1, "completed": 1}
    assert Scrape.of(api).by("evalhub_evaluation_job_actions_total", "action", tenant=tenant) == {("created",): 1}


def test_a_deleted_job_leaves_the_gauges_and_no_end(api: Api, own: Api, tenant: str) -> None:
    job_id = own.submit()
    assert Scrape.of(api).value("evalhub_eval_active_jobs", tenant=tenant) == 1
    own.delete(f"{JOBS}/{job_id}?hard_delete=true")
    scrape = Scrape.of(api)
    assert scrape.value("evalhub_eval_active_jobs", tenant=tenant) == 0
    assert states(api, tenant) == {"pending": 1}
    assert scrape.by("evalhub_evaluation_job_actions_total", "action", tenant=tenant) == {("created",): 1, ("deleted",): 1}


def test_a_run_whose_worker_is_lost_waits_again(api: Api, own: Api, tenant: str) -> None:
    worker = Worker(api)
    held = worker.take(own)
    held.start()
    worker.incarnation = unique()
    assert worker.register().status == 200
    assert states(api, tenant) == {"pending": 2, "running": 1}
    own.report(held.job_id, "completed")
    assert states(api, tenant) == {"pending": 2, "running": 1, "completed": 1}
    assert benchmarks(api, tenant) == {("b0", "completed"): 1}


def test_a_failure_of_the_watchdog_that_is_overruled_counts_with_both_ends(api: Api, own: Api, tenant: str) -> None:
    held = Worker(api).take(own)
    held.start()
    held.end("exited", code="process_exited", message="it went", exit_code=1)
    await_state(own, held.job_id, "failed")
    assert states(api, tenant) == {"pending": 1, "running": 1, "failed": 1}
    own.report(held.job_id, "completed")
    assert states(api, tenant) == {"pending": 1, "running": 1, "failed": 1, "completed": 1}
    assert benchmarks(api, tenant) == {("b0", "failed"): 1, ("b0", "completed"): 1}
    assert Scrape.of(api).value("evalhub_eval_job_duration_seconds_count", tenant=tenant) == 1


def test_the_duration_of_a_benchmark_is_that_between_its_start_and_its_end(own: Api, api: Api) -> None:
    before = Scrape.of(api)
    times = {"started_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T01:00:03+01:00"}
    own.report(own.submit("b1"), "completed", benchmark="b1", **times)
    own.report(own.submit("b1"), "completed", benchmark="b1")
    after = Scrape.of(api)

    def grown(what: str, **where: str) -> float:
        name = f"evalhub_benchmark_duration_seconds_{what}"
        return after.value(name, benchmark_name="b1", **where) - before.value(name, benchmark_name="b1", **where)

    assert (grown("count"), grown("sum")) == (1, 3.0)
    assert (grown("bucket", le="2"), grown("bucket", le="4")) == (0, 1)


def test_jobs_of_a_collection_are_told_apart(api: Api, own: Api, tenant: str) -> None:
    benchmark = {"id": "b0", "provider_id": "manual"}
    made = own.post("/api/v1/evaluations/collections", {"name": "c", "category": "x", "benchmarks": [benchmark]})
    assert made.status == 201, made.text
    collection = made.json["resource"]["id"]
    body = {"name": "j", "model": {"url": "http://m.example/v1", "name": "m"}, "collection": {"id": collection}}
    assert own.post(JOBS, body).status == 202
    assert Scrape.of(api).by(TRANSITIONS, "collection", tenant=tenant) == {(collection,): 1}


def test_metrics_without_a_tenant_are_the_sums_of_those_with_one(api: Api, own: Api) -> None:
    own.report(own.submit(), "completed")
    api.report(api.submit(), "failed")
    scrape = Scrape.of(api)
    for name, of_tenants, labels in (
        ("evalhub_evaluation_jobs_total", TRANSITIONS, ("status", "provider", "collection")),
        (
            "evalhub_benchmark_completions_total",
            "evalhub_eval_benchmark_completions_total",
            ("provider", "benchmark_name", "status"),
        ),
        (
            "evalhub_evaluation_job_duration_seconds_count",
            "evalhub_eval_job_duration_seconds_count",
            ("provider", "collection"),
        ),
        ("evalhub_evaluation_jobs_active", "evalhub_eval_active_jobs", ()),
        ("evalhub_evaluation_queue_depth", "evalhub_eval_queue_depth", ()),
    ):
        assert scrape.by(name, *labels), name
        assert scrape.by(name, *labels) == scrape.by(of_tenants, *labels), name


def test_gauges_are_right_after_a_restart_and_counters_begin_anew(tmp_path: Path) -> None:
    flags = ("--catalog", str(catalogue.write(tmp_path / "catalogue", catalogue.provider("manual", "true"))))
    with serving(tmp_path, *flags) as first:
        running, _, done = [first.api.as_(x_tenant="t").submit() for _ in range(3)]
        first.api.as_(x_tenant="t").report(running, "running")
        first.api.as_(x_tenant="t").report(done, "completed")
    with serving(tmp_path, *flags) as second:
        scrape = Scrape.of(second.api)
        assert scrape.value("evalhub_evaluation_jobs_active") == 2
        assert scrape.value("evalhub_evaluation_queue_depth") == 1
        assert scrape.by("evalhub_eval_active_jobs", "tenant") == {("t",): 2}
        assert scrape.by("evalhub_eval_queue_depth", "tenant") == {("t",): 1}
        assert scrape.value("evalhub_evaluation_jobs_total") == 0
        second.api.as_(x_tenant="t").report(running, "completed")
        assert Scrape.of(second.api).value("evalhub_evaluation_jobs_active") == 1
        assert states(second.api, "t") == {"completed": 1}


@pytest.mark.slow
def test_a_run_that_recovery_gives_up_is_a_failed_job(tmp_path: Path) -> None:
    written = catalogue.write(tmp_path / "catalogue", catalogue.provider("manual", "true"))
    with serving(tmp_path, "--catalog", str(written), ASSAY_WORKER_KEY=KEY, ASSAY_LEASE_SECONDS="0.5") as running:
        worker = Worker(running.api)
        job_id = running.api.submit()
        while running.api.job(job_id)["status"]["state"] != "failed":
            worker.lease(wait_s=1.0)
        assert states(running.api, "") == {"pending": 1, "failed": 1}
        assert benchmarks(running.api, "") == {("b0", "failed"): 1}
        assert Scrape.of(running.api).value("evalhub_evaluation_errors_total") == 1


def test_requests_carry_the_labels_of_opentelemetry(api: Api) -> None:
    host, port = re.fullmatch(r"http://(.*):(\d+)", api.url).groups()  # type: ignore[union-attr]
    where = {
        "http_request_method": "POST",
        "http_response_status_code": "202",
        "http_route": JOBS,
        "network_protocol_name": "http",
        "network_protocol_version": "1.1",
        "server_address": host,
        "server_port": port,
        "url_scheme": "http",
    }
    before = Scrape.of(api)
    api.submit()
    after = Scrape.of(api)
    name = "http_server_request_duration_seconds_count"
    assert after.value(name, **where) == before.value(name, **where) + 1


def test_unknown_paths_are_one_route(api: Api) -> None:
    before = Scrape.of(api)
    api.get("/" + unique())
    after = Scrape.of(api)
    for name, where in (
        ("http_server_request_count_total", {"http_route": "not_found", "http_response_status_code": "404"}),
        ("evalhub_api_request_duration_seconds_count", {"endpoint": ""}),
    ):
        assert after.value(name, **where) == before.value(name, **where) + 1


def test_bodies_are_measured_in_both_directions(api: Api) -> None:
    def sizes(scrape: Scrape) -> list[float]:
        names = ("http_server_request_body_size_bytes_sum", "http_server_response_body_size_bytes_sum")
        return [scrape.value(name, http_route=JOBS, http_request_method="POST") for name in names]

    before = sizes(Scrape.of(api))
    sent = b'{"name": "' + b"x" * 3000
    reply = api.post(JOBS, sent)
    assert reply.status == 400
    after = sizes(Scrape.of(api))
    assert [a - b for a, b in zip(after, before, strict=True)] == [len(sent), len(reply.body)]


def test_an_artifact_that_is_sent_as_a_file_is_measured(api: Api, own: Api) -> None:
    held = Worker(api).take(own)
    held.start()
    stored = held.put("samples", b"x" * 12345)
    assert held.end("completed", artifacts=[stored.json]).status == 204
    path = f"{JOBS}/{held.job_id}/benchmarks/0/artifacts/samples"
    assert len(own.get(path).body) == 12345
    route = f"{JOBS}/{{job_id}}/benchmarks/{{benchmark_index}}/artifacts/{{name}}"
    assert Scrape.of(api).value("http_server_response_body_size_bytes_sum", http_route=route) == 12345
    upload = "/api/v1/runs/{run_id}/artifacts/{name}"
    assert Scrape.of(api).value("http_server_request_body_size_bytes_sum", http_route=upload) == 12345


def test_the_scrape_itself_is_a_request_being_answered(api: Api) -> None:
    scrape = Scrape.of(api)
    assert scrape.by("http_server_active_requests", "http_request_method", "url_scheme")["GET", "http"] == 1
    assert scrape.value("assay_http_active_requests") == 1


def test_connections_to_the_database_are_shown_by_state(api: Api) -> None:
    scrape = Scrape.of(api)
    where = {"db_system_name": "sqlite", "db_namespace": "assay.db"}
    count = scrape.by("db_client_connection_count", "db_client_connection_state", **where)
    assert set(count) == {("used",), ("idle",)}
    assert min(count.values()) >= 0
    assert sum(count.values()) == scrape.value("db_client_connection_max", **where) == 4


def test_the_memory_of_rendered_documents_is_shown_by_kind(api: Api, own: Api) -> None:
    before = Scrape.of(api).value("assay_kept_bytes", kind="jobs")
    assert own.get(f"{JOBS}/{own.submit()}").status == 200
    assert Scrape.of(api).value("assay_kept_bytes", kind="jobs") > before
