"""Live events over WebSocket, with a client as others have it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from tests.server.acting import Worker
from tests.server.client import JOBS, Api, unique
from tests.server.test_origins import OTHERS, OURS
from tests.server.watching import ALL, stream_of


async def said(api: Api, path: str, headers: Mapping[str, str] | None = None, say: str = "") -> tuple[list[Any], int | None]:
    """Return the messages of a WebSocket until it is closed, and its closing code."""
    async with aiohttp.ClientSession() as session, session.ws_connect(api.url + path, headers=headers) as socket:
        if say:
            await socket.send_str(say)
        messages = [json.loads(message.data) async for message in socket]
        return messages, socket.close_code


def test_the_messages_are_the_events_of_the_history_and_the_end(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    held.start()
    held.end("completed")
    history = api.get(f"{JOBS}/{held.job_id}/history").json["items"]
    messages, code = asyncio.run(said(api, stream_of(held.job_id)))
    assert messages[:-1] == history
    assert messages[-1]["data"] == {"reason": "ended", "state": "completed"}
    assert code == 1000
    last = history[2]["seq"]
    for path, headers in (
        (f"{stream_of(held.job_id)}?last_event_id={last}", {}),
        (stream_of(held.job_id), {"Last-Event-ID": str(last)}),
    ):
        rest, _ = asyncio.run(said(api, path, headers))
        assert rest[:-1] == history[3:]


def test_what_happens_is_told_as_it_happens(api: Api, worker: Worker) -> None:
    held = worker.take(api)

    async def watch() -> list[str]:
        kinds = []
        async with aiohttp.ClientSession() as session, session.ws_connect(api.url + stream_of(held.job_id)) as socket:
            async for message in socket:
                kinds.append(json.loads(message.data)["type"])
                if kinds[-1] == "run.leased":
                    await asyncio.to_thread(held.start)
                elif kinds[-1] == "run.progress":
                    await asyncio.to_thread(held.end, "completed")
        return kinds

    kinds = asyncio.run(watch())
    assert [kind for kind in kinds if kind != "run.progress"] == [
        "job.created", "run.leased", "run.running", "job.running", "run.completed", "job.completed", "end",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (stream_of("nope"), 404, "resource_not_found"),
        (f"{ALL}?last_event_id=x", 400, "last_event_id_invalid"),
        (f"{ALL}?x=1", 400, "query_bad_parameter"),
        (JOBS, 404, "no_websocket"),
        ("/api/v1/health", 404, "no_websocket"),
        ("/nope", 404, None),
    ],
)
def test_a_refusal_is_said_before_it_is_closed(api: Api, path: str, status: int, code: str | None) -> None:
    async def refused() -> tuple[str, int | None]:
        async with aiohttp.ClientSession() as session, session.ws_connect(api.url + path) as socket:
            text = "".join([message.data async for message in socket])
            return text, socket.close_code

    text, closed = asyncio.run(refused())
    assert closed == 4000 + status
    assert code is None or json.loads(text)["message_code"] == code


def test_whoever_says_something_is_not_understood(api: Api) -> None:
    assert asyncio.run(said(api, ALL, say="hello")) == ([], 1003)


@pytest.mark.parametrize("origin", OURS)
def test_a_page_of_this_machine_may_open_one(api: Api, origin: str) -> None:
    messages, code = asyncio.run(said(api.as_(), f"{ALL}?follow=false", {"Origin": origin, "X-Tenant": unique("t")}))
    assert (messages, code) == ([], 1000)


@pytest.mark.parametrize("origin", OTHERS)
def test_another_page_is_not_even_answered(api: Api, origin: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        asyncio.run(said(api, ALL, {"Origin": origin}))
    assert refused.value.status == 403
