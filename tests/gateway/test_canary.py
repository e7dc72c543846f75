"""The key leaves the gateway in one direction only."""

from __future__ import annotations

import logging
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from assay.gateway import Credential, Gateway, ModelRoute, RequestLimits, RetryPolicy, RunRoute

from .upstream import CANARY, StartUpstream, open_model


async def test_the_key_is_in_no_answer_header_log_or_repr(
    gateway: Gateway,
    client: aiohttp.ClientSession,
    start_upstream: StartUpstream,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    async def echo(request: web.Request) -> web.StreamResponse:
        key = request.headers["Authorization"]
        code = int(request.query.get("status", "200"))
        if request.path.endswith("stream"):
            response = web.StreamResponse(status=code, headers={"X-Seen": key, "Content-Type": "text/event-stream"})
            await response.prepare(request)
            for letter in f"data: {key}\n\n".encode():
                await response.write(bytes([letter]))
            return response
        if request.path.endswith("crash") and request.transport is not None:
            request.transport.abort()
        return web.json_response(
            {"error": {"message": f"wrong key: {key}"}},
            status=code,
            headers={"X-Seen": key, "Set-Cookie": f"k={key}"},
        )

    upstream = await start_upstream(echo)
    run = open_model(gateway, upstream.url, limits=RequestLimits(retry=RetryPolicy(attempts=2)))
    heard = ""
    for path in ("plain", "plain?status=401", "plain?status=500", "stream", "stream?status=500", "crash"):
        async with client.post(f"{run.model_url}/{path}") as response:
            heard += f"{response.headers} {response.cookies} {await response.text()}\n"
    await upstream.stop()
    async with client.post(f"{run.model_url}/gone") as response:
        heard += await response.text()
    assert heard.count("[redacted]") >= 8
    assert CANARY not in heard
    assert CANARY not in caplog.text
    assert run.token not in caplog.text
    assert CANARY not in f"{run!r} {run.usage!r} {gateway!r}"


def test_no_repr_shows_the_key(tmp_path: Path) -> None:
    credential = Credential(CANARY, "canary")
    route = RunRoute("r", 1, model=ModelRoute("http://h", credential))
    assert CANARY not in f"{credential!r} {credential} {route!r}"
