"""What is retried, when, and what the evaluation hears in the end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web

from assay.gateway import Gateway, ModelRoute, RequestLimits, RetryPolicy, RunRoute
from assay.gateway.retry import retry_after

from .upstream import CANARY, ManualClock, StartUpstream, answer_ok, answers, open_model


def status(code: int, **headers: str):  # type: ignore[no-untyped-def]
    return lambda: web.Response(status=code, headers={k.replace("_", "-"): v for k, v in headers.items()})


def ok() -> web.Response:
    return web.json_response({"ok": True})


async def test_failures_that_pass_are_retried_with_growing_waits(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream, clock: ManualClock
) -> None:
    upstream = await start_upstream(answers(status(500), status(502), status(503), status(504), status(429), ok))
    run = open_model(gateway, upstream.url)
    async with client.post(f"{run.model_url}/v1/completions", data=b"again") as response:
        assert response.status == 200
    assert [received.body for received in upstream.received] == [b"again"] * 6
    assert clock.slept == [0.25, 0.5, 1.0, 2.0, 4.0]
    usage = run.usage
    assert (usage.requests, usage.retries, usage.failed, usage.throttled_s) == (1, 5, 0, 7.75)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
async def test_the_callers_own_mistakes_are_not_retried(
    gateway: Gateway,
    client: aiohttp.ClientSession,
    start_upstream: StartUpstream,
    clock: ManualClock,
    code: int,
) -> None:
    upstream = await start_upstream(answers(status(code)))
    run = open_model(gateway, upstream.url)
    async with client.post(f"{run.model_url}/v1/completions") as response:
        assert response.status == code
    assert len(upstream.received) == 1
    assert clock.slept == []
    assert run.usage.failed == 1


async def test_the_last_failure_is_passed_on_with_its_body(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answers(lambda: web.Response(status=503, text=f"overloaded {CANARY}")))
    run = open_model(gateway, upstream.url, limits=RequestLimits(retry=RetryPolicy(attempts=3)))
    async with client.post(f"{run.model_url}/v1/completions") as response:
        assert response.status == 503
        assert await response.text() == "overloaded [redacted]"
    assert len(upstream.received) == 3


async def test_a_429_with_retry_after_lets_the_whole_endpoint_rest(
    client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    class StoppedClock(ManualClock):
        """Sleepers wait until the test lets time pass."""

        def __init__(self) -> None:
            super().__init__()
            self.passed = asyncio.Event()
            self.sleeping = asyncio.Semaphore(0)

        async def sleep(self, seconds: float) -> None:
            self.slept.append(seconds)
            until = self.time + seconds
            self.sleeping.release()
            await self.passed.wait()
            self.time = max(self.time, until)

    clock = StoppedClock()
    gateway = Gateway(clock=clock)
    await gateway.start()
    upstream = await start_upstream(answers(status(429, Retry_After="17"), ok))
    first = open_model(gateway, f"{upstream.url}/v1")
    second = open_model(gateway, f"{upstream.url}/v2")
    limited = asyncio.ensure_future(client.post(f"{first.model_url}/completions")._coro)
    await asyncio.wait_for(clock.sleeping.acquire(), 20)
    other = asyncio.ensure_future(client.post(f"{second.model_url}/completions")._coro)
    # The second run's request sleeps too, before it was sent even once.
    await asyncio.wait_for(clock.sleeping.acquire(), 20)
    assert [received.path for received in upstream.received] == ["/v1/completions"]
    assert clock.slept == [17.0, 17.0]
    clock.passed.set()
    assert [(await call).status for call in (limited, other)] == [200, 200]
    assert second.usage.throttled_s == 17.0
    await gateway.close()


async def test_retry_after_is_honoured_up_to_a_minute(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream, clock: ManualClock
) -> None:
    upstream = await start_upstream(answers(status(503, Retry_After="3600"), status(500, retry_after_ms="1500"), ok))
    run = open_model(gateway, upstream.url)
    async with client.post(f"{run.model_url}/completions") as response:
        assert response.status == 200
    assert clock.slept == [60.0, 1.5]


async def test_a_refused_connection_is_retried_and_then_explained(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream, clock: ManualClock
) -> None:
    upstream = await start_upstream(answer_ok)
    await upstream.stop()
    run = open_model(gateway, f"{upstream.url}/v1")
    async with client.post(f"{run.model_url}/completions") as response:
        assert response.status == 502
        assert response.headers["x-should-retry"] == "false"
        error = (await response.json())["error"]
    assert error["code"] == "model_unreachable"
    assert error["type"] == "api_error"
    assert upstream.url in error["message"]
    assert "refused" in error["message"]
    assert "listens on that port" in error["message"]
    assert len(clock.slept) == 5
    assert run.usage.failed == 1


async def test_a_model_that_comes_up_while_retrying_answers(
    client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answer_ok)
    await upstream.stop()

    class StartingClock(ManualClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if len(self.slept) == 3:
                await upstream.start()

    gateway = Gateway(clock=StartingClock())
    await gateway.start()
    run = open_model(gateway, upstream.url)
    async with client.post(f"{run.model_url}/completions") as response:
        assert response.status == 200
    assert run.usage.retries == 3
    await gateway.close()


async def test_a_host_that_does_not_resolve_is_named(gateway: Gateway, client: aiohttp.ClientSession) -> None:
    run = open_model(gateway, "http://model.invalid:81/v1", limits=RequestLimits(retry=RetryPolicy(attempts=1)))
    async with client.post(f"{run.model_url}/completions") as response:
        assert response.status == 502
        message = (await response.json())["error"]["message"]
    assert "http://model.invalid:81" in message
    assert "does not resolve" in message


async def test_tls_to_a_plain_server_is_not_retried(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream, clock: ManualClock
) -> None:
    upstream = await start_upstream(answer_ok)
    run = open_model(gateway, f"https://127.0.0.1:{upstream.port}/v1")
    async with client.post(f"{run.model_url}/completions") as response:
        assert response.status == 502
        assert "TLS handshake failed" in (await response.json())["error"]["message"]
    assert clock.slept == []


async def test_a_silent_model_is_asked_twice_and_then_reported(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    upstream = await start_upstream(silent)
    run = open_model(gateway, upstream.url, timeout_s=0.05)
    async with client.post(f"{run.model_url}/completions") as response:
        assert response.status == 502
        assert "no answer within 0.05 s" in (await response.json())["error"]["message"]
    assert len(upstream.received) == 2


async def test_a_short_answer_that_breaks_off_is_retried(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    tries = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal tries
        tries += 1
        if tries > 1:
            return ok()
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    upstream = await start_upstream(handler)
    run = open_model(gateway, upstream.url)
    async with client.post(f"{run.model_url}/completions") as response:
        assert await response.json() == {"ok": True}
    assert run.usage.retries == 1


async def test_a_run_without_a_credential_sends_none(
    gateway: Gateway, client: aiohttp.ClientSession, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answer_ok)
    run = gateway.open(RunRoute("r", 1, model=ModelRoute(upstream.url)))
    await client.post(f"{run.model_url}/completions", headers={"Authorization": "Bearer dummy"})
    assert "authorization" not in upstream.received[0].headers


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "2.5"}, 2.5),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "Sat, 21 Nov 2026 10:00:30 GMT"}, 30.0),
        ({"Retry-After": "Sat, 21 Nov 2026 09:00:00 GMT"}, 0.0),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, datetime(2026, 11, 21, 10, tzinfo=UTC)) == seconds
