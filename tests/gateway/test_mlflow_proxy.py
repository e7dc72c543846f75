"""A run's own calls to MLflow: which pass, what they carry, and what comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from assay.gateway import Gateway, MlflowRoute, MlflowServer, OpenRun, RunRoute
from assay.gateway.mlflow_proxy import permitted

from .upstream import CANARY, StartUpstream, answer_ok, answers

RUNS = "/api/2.0/mlflow/runs/create"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


def opened(gateway: Gateway, url: str, workspace: str = "", **server: object) -> OpenRun:
    known = MlflowServer(url, **{"token": CANARY, **server})  # type: ignore[arg-type]
    return gateway.open(RunRoute("run-1", 1, mlflow=MlflowRoute(known, workspace)))


@pytest.mark.parametrize(
    "path",
    [
        "/api/2.0/mlflow/experiments/create",
        "/api/2.0/mlflow/experiments/get-by-name",
        "/api/2.0/mlflow/runs/log-batch",
        "/api/2.0/mlflow/runs/delete-tag",
        "/api/2.0/mlflow/metrics/get-history",
        "/api/2.0/mlflow/logged-models",
        "/api/3.0/mlflow/traces",
        "/api/3.0/mlflow/server-info",
        f"{FILES}/1/run/artifacts/delete/me%20and%20you.txt",
        "/api/2.0/mlflow-artifacts/mpu/create/1/run/artifacts/x",
    ],
)
def test_a_run_may_make_and_fill(path: str) -> None:
    assert permitted("POST", path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", f"{FILES}/1/run/artifacts/x"),
        ("POST", "/api/2.0/mlflow/experiments/delete"),
        ("POST", "/api/2.0/mlflow/experiments/%64elete"),
        ("POST", "/api/2.0/mlflow/experiments/update"),
        ("POST", "/api/2.0/mlflow/experiments/restore"),
        ("POST", "/api/2.0/mlflow/experiments/permissions/create"),
        ("POST", "/api/2.0/mlflow/runs/delete"),
        ("POST", "/api/2.0/mlflow/traces/delete-traces"),
        ("GET", "/api/2.0/mlflow/users/get"),
        ("GET", "/api/2.0/mlflow/registered-models/search"),
        ("GET", "/api/3.0/mlflow/workspaces"),
        ("GET", "/api/3.0/mlflow/gateway/secrets/list"),
        ("POST", f"{FILES}/../../mlflow/experiments/delete"),
        ("POST", f"{FILES}/%2e%2e/%2E%2E/mlflow/experiments/delete"),
        ("POST", f"{FILES}/%252e%252e/x"),
        ("GET", "/"),
        ("GET", "/get-artifact"),
    ],
)
async def test_what_belongs_to_others_is_out_of_reach(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream, method: str, path: str
) -> None:
    assert not permitted(method, path)
    upstream = await start_upstream(answer_ok)
    run = opened(gateway, upstream.url)
    url = f"{run.mlflow_url}{path}"
    async with client.request(method, URL(url, encoded=True)) as response:
        assert response.status in (403, 404)
    assert upstream.received == []


async def test_the_token_and_the_workspace_are_added_and_the_runs_own_are_dropped(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answer_ok)
    run = opened(gateway, f"{upstream.url}/behind/a/path", "team-a")
    sent = {"Authorization": "Bearer forged", "X-MLFLOW-WORKSPACE": "team-b", "Content-Type": "application/json"}
    async with client.post(f"{run.mlflow_url}{RUNS}?a=b%20c", data=b'{"x":1}', headers=sent) as response:
        assert (response.status, await response.json()) == (200, {"ok": True})
    (received,) = upstream.received
    assert (received.method, received.path, received.body) == ("POST", f"/behind/a/path{RUNS}?a=b%20c", b'{"x":1}')
    assert received.headers["authorization"] == f"Bearer {CANARY}"
    assert received.headers["x-mlflow-workspace"] == "team-a"
    assert received.headers["content-type"] == "application/json"


async def test_without_a_workspace_none_is_sent(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answer_ok)
    run = opened(gateway, upstream.url, token="")
    async with client.post(f"{run.mlflow_url}{RUNS}", headers={"X-MLFLOW-WORKSPACE": "team-b"}):
        pass
    (received,) = upstream.received
    assert not {"x-mlflow-workspace", "authorization"} & received.headers.keys()


async def test_a_token_that_comes_back_is_masked(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        return web.json_response({"headers": dict(request.headers)}, headers={"X-Echo": request.headers["Authorization"]})

    run = opened(gateway, (await start_upstream(echo)).url)
    async with client.post(f"{run.mlflow_url}{RUNS}") as response:
        assert CANARY not in await response.text() + str(response.headers)


async def test_a_body_is_passed_on_while_it_comes_in(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    """MLflow has the first part of an artifact before the evaluation has sent the last."""
    first_part, lengths = asyncio.Event(), list[str | None]()

    async def take(request: web.BaseRequest) -> web.StreamResponse:
        lengths.append(request.headers.get("Content-Length"))
        taken = await request.content.readexactly(5)
        first_part.set()
        taken += await request.content.read()
        return web.Response(body=taken)

    async def parts() -> object:
        yield b"first"
        await asyncio.wait_for(first_part.wait(), 30)
        yield b" last"

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    run = opened(gateway, f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        async with client.put(f"{run.mlflow_url}{FILES}/a", data=parts(), headers={"Content-Length": "10"}) as response:
            assert (response.status, await response.read()) == (200, b"first last")
        assert lengths == ["10"]
    finally:
        await runner.cleanup()


async def test_a_large_answer_comes_back_whole(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    large = bytes(range(256)) * 20_000
    upstream = await start_upstream(answers(lambda: web.Response(body=large)))
    async with client.get(f"{opened(gateway, upstream.url).mlflow_url}{FILES}/a") as response:
        assert await response.read() == large


async def test_a_redirect_is_not_followed_and_not_passed_on(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    elsewhere = await start_upstream(answer_ok)
    upstream = await start_upstream(
        answers(lambda: web.Response(status=307, headers={"Location": f"{elsewhere.url}/login"}))
    )
    async with client.post(f"{opened(gateway, upstream.url).mlflow_url}{RUNS}") as response:
        assert response.status == 502
        assert f"redirects to {elsewhere.url}" in (await response.json())["message"]
    assert elsewhere.received == []


async def test_the_token_file_is_read_for_each_call(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream, tmp_path: Path
) -> None:
    upstream, file = await start_upstream(answer_ok), tmp_path / "token"
    run = opened(gateway, upstream.url, token_path=file)
    async with client.post(f"{run.mlflow_url}{RUNS}") as response:
        assert response.status == 503
        assert str(file) in (await response.json())["message"]
    for token in ("one-token", "two-token"):
        file.write_text(f"{token}\n")
        async with client.post(f"{run.mlflow_url}{RUNS}"):
            pass
    assert [received.headers["authorization"] for received in upstream.received] == ["Bearer one-token", "Bearer two-token"]


async def test_a_server_that_is_away_is_named(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    async with client.post(f"{opened(gateway, 'http://127.0.0.1:1').mlflow_url}{RUNS}") as response:
        assert response.status == 502
        text = "The MLflow server http://127.0.0.1:1 did not answer: the connection was refused."
        assert await response.json() == {"error_code": "TEMPORARILY_UNAVAILABLE", "message": text}


async def test_a_run_of_no_experiment_reaches_nothing(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    run = gateway.open(RunRoute("run-1", 1))
    assert run.mlflow_url is None
    async with client.post(f"{run.base_url}/mlflow{RUNS}") as response:
        assert response.status == 404


async def test_a_run_that_has_ended_reaches_nothing(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answer_ok)
    run = opened(gateway, upstream.url)
    run.close()
    async with client.post(f"{run.mlflow_url}{RUNS}") as response:
        assert response.status == 404
    assert upstream.received == []
