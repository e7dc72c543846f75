"""An adapter's reports on their way to the server."""

from __future__ import annotations

import json

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from assay.gateway import CallbackRoute, Gateway, MlflowRoute, MlflowServer, ModelRoute, RunRoute

from .upstream import ManualClock, StartUpstream, Upstream, answer_ok, answers

WORKER_KEY = "worker-key-2f9d8c7b"
EVENTS = "/api/v1/evaluations/jobs/job-1/events"


def route(upstream: Upstream) -> RunRoute:
    headers = {"Authorization": f"Bearer {WORKER_KEY}", "X-Assay-Fence": "7"}
    return RunRoute("run-1", 1, callback=CallbackRoute(upstream.url, headers, job_id="job-1"))


async def test_a_report_reaches_the_server_with_the_workers_headers(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answers(lambda: web.Response(status=204)))
    run = gateway.open(route(upstream))
    sent = {"Authorization": "Bearer forged", "X-Assay-Fence": "99", "X-Tenant": "other", "X-User": "root"}
    async with client.post(run.base_url + EVENTS, json={"a": 1}, headers=sent) as response:
        assert response.status == 204
    (received,) = upstream.received
    assert (received.path, received.body) == (EVENTS, b'{"a": 1}')
    assert received.headers["authorization"] == f"Bearer {WORKER_KEY}"
    assert received.headers["x-assay-fence"] == "7"
    assert received.headers["content-type"] == "application/json"
    assert not {"x-tenant", "x-user"} & received.headers.keys()


async def test_a_report_survives_a_restart_of_the_server(
    client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    answers_503_then_ok = answers(lambda: web.Response(status=503), lambda: web.Response(status=204))
    upstream = await start_upstream(answers_503_then_ok)
    await upstream.stop()

    class RestartingClock(ManualClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if self.time - 1000.0 > 5 and not upstream.received and upstream._runner is None:
                await upstream.start()

    gateway = Gateway(clock=RestartingClock())
    await gateway.start()
    run = gateway.open(route(upstream))
    async with client.post(run.base_url + EVENTS, json={}) as response:
        assert response.status == 204
    first, second = upstream.received
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    await gateway.close()


async def test_a_server_that_stays_away_is_reported_before_the_sdk_gives_up(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream, clock: ManualClock
) -> None:
    upstream = await start_upstream(answer_ok)
    await upstream.stop()
    run = gateway.open(route(upstream))
    async with client.post(run.base_url + EVENTS, json={}) as response:
        assert response.status == 503
        body = await response.json()
    assert body["message_code"] == "server_unreachable"
    assert upstream.url in body["message"]
    assert 6 < clock.time - 1000.0 < 8


async def test_the_servers_refusal_is_passed_on_at_once_without_the_key(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream, clock: ManualClock
) -> None:
    upstream = await start_upstream(answers(lambda: web.Response(status=409, text=f"stale {WORKER_KEY}")))
    run = gateway.open(route(upstream))
    async with client.post(run.base_url + EVENTS, json={}) as response:
        assert (response.status, await response.text()) == (409, "stale [redacted]")
    assert len(upstream.received) == 1
    assert clock.slept == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/api/v1/evaluations/jobs/job-1", 404),
        ("GET", EVENTS, 405),
        ("POST", "/api/v1/evaluations/jobs/job-2/events", 403),
        ("POST", "/api/v1/evaluations/jobs/../../workers/events", 404),
        ("POST", "/api/v1/evaluations/jobs/%2e%2e/events", 404),
        ("POST", "/api/v1/evaluations/jobs", 404),
        ("POST", "/metrics", 404),
    ],
)
async def test_the_workers_headers_open_nothing_but_the_runs_own_reports(
    gateway: Gateway,
    client: aiohttp.ClientSession,
    start_upstream: StartUpstream,
    method: str,
    path: str,
    status: int,
) -> None:
    upstream = await start_upstream(answer_ok)
    run = gateway.open(route(upstream))
    async with client.request(method, URL(run.base_url + path, encoded=True)) as response:
        assert response.status == status
    assert upstream.received == []


class Start:
    """News that are told once."""

    def __init__(self) -> None:
        self.times_told = 0

    def header(self) -> tuple[str, str] | None:
        return None if self.times_told else ("X-Assay-Started", "run-1 20")

    def told(self) -> None:
        self.times_told += 1


async def test_news_go_with_reports_until_the_server_has_taken_one(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    replies = answers(lambda: web.Response(status=409), lambda: web.Response(status=503), lambda: web.Response(status=204))
    upstream = await start_upstream(replies)
    start = Start()
    run = gateway.open(RunRoute("run-1", 1, callback=CallbackRoute(upstream.url, {}, "job-1", start)))
    for status in (409, 204, 204):
        async with client.post(run.base_url + EVENTS, json={}, headers={"X-Assay-Started": "forged"}) as response:
            assert response.status == status
    told = [received.headers.get("x-assay-started") for received in upstream.received]
    assert told == ["run-1 20", "run-1 20", "run-1 20", None]
    assert start.times_told == 1


async def test_a_report_names_the_real_targets_and_not_the_runs_own_way_to_them(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answers(lambda: web.Response(status=204)))
    model = ModelRoute("https://models.example:8443/v1?api-version=1")
    mlflow = MlflowRoute(MlflowServer("https://mlflow.example"))
    callback = CallbackRoute(upstream.url, {}, "job-1")
    run = gateway.open(RunRoute("run-1", 1, model=model, mlflow=mlflow, callback=callback))
    token = run.base_url.rpartition("/")[2]
    said = f"no answer of {run.model_url}/chat, {run.base_url}/mlflow/api, {run.base_url}{EVENTS}, {run.base_url}/x, {token}"
    async with client.post(run.base_url + EVENTS, json={"error_message": {"message": said}}) as response:
        assert response.status == 204
    (received,) = upstream.received
    told = json.loads(received.body)["error_message"]["message"]
    real = f"https://models.example:8443/v1/chat, https://mlflow.example/api, {upstream.url}{EVENTS}, /x, [redacted]"
    assert told == f"no answer of {real}"
    assert token.encode() not in received.body
