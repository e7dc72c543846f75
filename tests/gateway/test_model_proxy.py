"""Model calls through the gateway, over real HTTP."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from aiohttp import web
from yarl import URL

from assay.gateway import Credential, Gateway, ModelRoute, RequestLimits, RouteError, RunRoute

from .upstream import CANARY, StartUpstream, answer_ok, answers, open_model

COMPLETION = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}


async def until(condition: asyncio.Event) -> None:
    await asyncio.wait_for(condition.wait(), 20)


async def test_the_credential_replaces_whatever_key_the_evaluation_presents(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answer_ok)
    run = open_model(gateway, f"{upstream.url}/v1")
    sent = {
        "Authorization": f"Bearer {run.token}",
        "api-key": "x",
        "X-Api-Key": "y",
        "Cookie": "a=b",
        "X-Own": "kept",
    }
    async with client.post(
        URL(f"{run.model_url}/completions?a=%2Fb", encoded=True), json={"n": 1}, headers=sent
    ) as response:
        assert response.status == 200
        assert await response.json() == {"ok": True}
    (received,) = upstream.received
    assert (received.method, received.path, received.body) == ("POST", "/v1/completions?a=%2Fb", b'{"n": 1}')
    assert received.headers["authorization"] == f"Bearer {CANARY}"
    assert received.headers["host"] == f"127.0.0.1:{upstream.port}"
    assert received.headers["x-own"] == "kept"
    assert not {"api-key", "x-api-key", "cookie"} & received.headers.keys()
    assert run.token not in repr(received)


async def test_the_credential_can_go_into_another_header_and_the_models_query_is_added(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answer_ok)
    credential = Credential(CANARY, header="api-key", prefix="")
    run = open_model(gateway, f"{upstream.url}/deployments/m?api-version=7", credential=credential)
    await client.post(f"{run.model_url}/chat/completions", headers={"Authorization": "Bearer dummy"})
    await client.post(f"{run.model_url}/chat/completions?api-version=8")
    assert [r.path for r in upstream.received] == [
        "/deployments/m/chat/completions?api-version=7",
        "/deployments/m/chat/completions?api-version=8",
    ]
    assert upstream.received[0].headers["api-key"] == CANARY
    assert "authorization" not in upstream.received[0].headers


async def test_paths_beside_the_models_own_reach_the_server_root(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answer_ok)
    run = open_model(gateway, f"{upstream.url}/v1")
    await client.post(f"{run.base_url}/model/tokenize")
    await client.get(f"{run.base_url}/model//other.example/x")
    assert [r.path for r in upstream.received] == ["/tokenize", "//other.example/x"]


async def test_unknown_and_closed_runs_answer_404(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answer_ok)
    run = open_model(gateway, upstream.url)
    run.close()
    run.close()
    for url in (
        run.model_url or "",
        run.base_url,
        f"http://127.0.0.1:{gateway.port}/",
        f"{run.base_url}x/model",
    ):
        async with client.get(url) as response:
            assert response.status == 404
            assert (await response.json())["error"]["code"] == "unknown_run"
    assert upstream.received == []


async def test_a_redirect_never_carries_the_key_elsewhere(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    other = await start_upstream(answer_ok)

    async def redirect(request: web.Request) -> web.StreamResponse:
        if request.path == "/away":
            return web.Response(status=307, headers={"Location": f"{other.url}/steal"})
        if request.path == "/home":
            return web.Response(status=307, headers={"Location": "/v1/done?x=1"})
        return web.json_response({"done": request.path_qs})

    upstream = await start_upstream(redirect)
    run = open_model(gateway, upstream.url)
    async with client.post(f"{run.model_url}/away") as response:
        assert response.status == 502
        error = (await response.json())["error"]
        assert error["code"] == "model_redirected"
        assert other.url in error["message"]
    async with client.post(f"{run.model_url}/home") as response:
        assert await response.json() == {"done": "/v1/done?x=1"}
    assert other.received == []


async def test_a_stream_passes_chunk_by_chunk_and_its_usage_is_counted(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    first_arrived = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'data: {"choices": [{"text": "a"}], "usage": null}\n\n')
        await until(first_arrived)
        await response.write(b'data: {"choices": [], "usa')
        await response.write(b'ge": {"prompt_tokens": 3, "completion_tokens": 2}}\n\ndata: [DONE]\n\n')
        return response

    upstream = await start_upstream(stream)
    run = open_model(gateway, upstream.url)
    async with client.post(f"{run.model_url}/v1/completions") as response:
        first = await response.content.readany()
        assert run.usage.in_flight == 1
        first_arrived.set()
        rest = await response.read()
    assert first == b'data: {"choices": [{"text": "a"}], "usage": null}\n\n'
    assert rest.endswith(b"data: [DONE]\n\n")
    usage = run.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.inferences, usage.in_flight) == (3, 2, 1, 0)


async def test_requests_tokens_and_failures_are_counted(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    ok = lambda: web.json_response(COMPLETION)  # noqa: E731
    upstream = await start_upstream(answers(ok, ok, lambda: web.Response(status=400), ok))
    run = open_model(gateway, upstream.url)
    for path in ("v1/completions", "v1/chat/completions", "v1/completions"):
        await client.post(f"{run.model_url}/{path}", json={})
    await client.get(f"{run.model_url}/v1/models")
    usage = run.usage
    assert (usage.requests, usage.inferences, usage.failed) == (4, 2, 1)
    assert (usage.prompt_tokens, usage.completion_tokens) == (21, 15)
    assert sum(usage.latency_buckets) == 4


async def test_usage_is_counted_in_a_compressed_answer_and_in_a_chunked_one(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    document = msgspec.json.encode(COMPLETION)

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/gzip"):
            headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
            return web.Response(body=gzip.compress(document), headers=headers)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(document[:20])
        await response.write(document[20:])
        return response

    upstream = await start_upstream(handler)
    run = open_model(gateway, upstream.url)
    for kind in ("gzip", "chunked"):
        async with client.post(f"{run.model_url}/{kind}/completions") as response:
            assert await response.json() == COMPLETION
    assert run.usage.completion_tokens == 10


async def test_an_endpoint_is_never_asked_more_at_once_than_its_bound_over_all_runs(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    full = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        if upstream.in_flight == 4:
            full.set()
        await until(full)
        return web.json_response({})

    upstream = await start_upstream(handler)
    runs = [open_model(gateway, upstream.url), open_model(gateway, f"{upstream.url}/v1")]
    calls = [client.post(f"{run.model_url}/completions") for run in runs for _ in range(20)]
    responses = await asyncio.gather(*calls)
    assert {response.status for response in responses} == {200}
    assert len(upstream.received) == 40
    assert upstream.most_in_flight == 4


async def test_a_run_can_have_a_lower_bound_of_its_own(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answer_ok)
    run = open_model(gateway, upstream.url, limits=RequestLimits(max_concurrency=1))
    await asyncio.gather(*[client.post(f"{run.model_url}/completions") for _ in range(12)])
    assert upstream.most_in_flight == 1
    assert run.usage.requests == 12


async def test_when_the_evaluation_hangs_up_the_upstream_request_is_cancelled_and_the_slot_is_free(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        if request.path == "/quick":
            return web.json_response({})
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    upstream = await start_upstream(hang)
    run = open_model(gateway, upstream.url, limits=RequestLimits(max_concurrency=1))
    call = asyncio.create_task(client.post(f"{run.model_url}/slow")._coro)
    await until(begun)
    call.cancel()
    await until(cancelled)
    async with client.get(f"{run.model_url}/quick") as response:
        assert response.status == 200
    assert (run.usage.cancelled, run.usage.in_flight) == (1, 0)


async def test_closing_a_run_ends_its_requests(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    upstream = await start_upstream(hang)
    run = open_model(gateway, upstream.url)
    call = asyncio.ensure_future(client.post(f"{run.model_url}/slow")._coro)
    await until(begun)
    run.close()
    await until(cancelled)
    with pytest.raises(aiohttp.ClientError):
        await call


async def test_an_answer_that_breaks_off_midway_does_not_look_whole(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    first_arrived = asyncio.Event()

    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: {}\n\n")
        await until(first_arrived)
        assert request.transport is not None
        request.transport.abort()
        return response

    upstream = await start_upstream(broken)
    run = open_model(gateway, upstream.url)
    async with client.post(f"{run.model_url}/completions") as response:
        assert await response.content.readany() == b"data: {}\n\n"
        first_arrived.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert len(upstream.received) == 1
    assert (run.usage.failed, run.usage.inferences) == (1, 0)


async def test_a_body_beyond_the_limit_is_refused(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answer_ok)
    run = open_model(gateway, upstream.url, limits=RequestLimits(max_body_bytes=1000))

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 500

    for body in (b"x" * 1001, pieces()):
        async with client.post(f"{run.model_url}/completions", data=body) as response:
            assert response.status == 413
            assert (await response.json())["error"]["code"] == "request_body_too_large"
    assert upstream.received == []
    async with client.post(f"{run.model_url}/completions", data=b"x" * 1000, expect100=True) as response:
        assert response.status == 200
    assert len(upstream.received[0].body) == 1000


async def test_a_run_without_a_model_says_so(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    run = gateway.open(RunRoute("run-2", 1))
    assert run.model_url is None
    async with client.get(f"{run.base_url}/model/v1") as response:
        assert response.status == 404
        assert (await response.json())["error"]["code"] == "no_model"


@pytest.mark.parametrize(
    "url",
    ["", "ftp://h/x", "http://", "http://u:pw@h/", "http://h:99999/", "h/v1", "http://h/a b", "http://[::1"],
)
def test_an_unusable_model_url_is_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(RouteError) as refused:
        ModelRoute(url)
    assert "pw" not in str(refused.value)


def test_the_origin_is_the_same_however_the_port_is_written() -> None:
    assert ModelRoute("https://Host/v1/").origin == ModelRoute("https://host:443").origin == "https://host:443"
    assert ModelRoute("http://[::1]:80/v1/").origin == "http://[::1]:80"
    assert ModelRoute("http://h/v1/").path == "/v1"
