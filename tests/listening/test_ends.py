"""How plain connections and doors end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from assay.listening import Limits
from tests.listening.served import Served, mirror, say, served

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SHORT = Limits(idle_s=0.05)


@pytest.mark.parametrize("begun", [b"", b"GET / HT", GET, GET + b"GET /"])
async def test_a_connection_on_which_no_head_comes_in_time_is_closed(begun: bytes) -> None:
    async with served(mirror, SHORT) as running:
        answers = await running.exchange(begun)
    assert answers.count(b"HTTP/1.1 200 OK") == begun.count(b"\r\n\r\n")


async def test_a_head_that_comes_in_small_pieces_gains_no_time() -> None:
    async with served(mirror, SHORT) as running:
        client = await running.client()

        await client.send(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            while running.connections:
                await client.send(b"X-A: 1\r\n")
                await asyncio.sleep(SHORT.idle_s / 10)


async def test_the_rest_of_a_body_that_nobody_wants_is_not_waited_for_without_end() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await say(send, b"no", 404)

    async with served(app, SHORT) as running:
        answers = await running.exchange(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx")
    assert answers.startswith(b"HTTP/1.1 404 ")


async def test_an_answer_may_take_longer_than_a_head() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(4 * SHORT.idle_s)
        await say(send, b"late")

    async with served(app, SHORT) as running:
        client = await running.client()
        await client.send(GET)
        assert await client.answer() == (b"HTTP/1.1 200 OK", b"late")


async def test_a_door_that_stops_ends_with_the_last_answer_that_it_owes() -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            begun.set()
            await may_end.wait()
        await say(send, scope["path"].encode())

    async with served(app) as running:
        idle, busy = await running.client(), await running.client()
        await idle.send(GET)
        await idle.answer()
        await busy.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun.wait()
        running.door.stop()
        assert await idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await running.client()
        may_end.set()
        assert [(await busy.answer())[1] for _ in range(2)] == [b"/slow", b"/next"]
        assert await busy.rest() == b""


async def greeting(scope: Any, receive: Any, send: Any) -> None:
    """Greet whoever opens a WebSocket, and stay until the other has gone."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": scope["path"]})
    while (await receive())["type"] != "websocket.disconnect":
        pass


@contextlib.asynccontextmanager
async def opened(running: Served) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Have a WebSocket during the block."""
    url = f"http://127.0.0.1:{running.port}/hello"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as made:
        assert await made.receive_str() == "/hello"
        yield made


async def test_a_websocket_is_told_when_the_door_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.listening.plain._GRACE_S", 0.05)
    async with served(greeting, websockets=True) as running, opened(running) as made:
        running.door.stop()
        assert (await made.receive()).type is aiohttp.WSMsgType.CLOSE
        assert made.close_code == 1012


async def test_a_websocket_outlives_the_time_for_a_head() -> None:
    async with served(greeting, SHORT, websockets=True) as running, opened(running) as made:
        with pytest.raises(TimeoutError):
            await made.receive(timeout=4 * SHORT.idle_s)


async def test_a_websocket_whose_end_nobody_reads_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.listening.websocket._LEAVE_S", 0.05)
    cut_off = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            async with asyncio.timeout(0.2):
                while True:
                    await send({"type": "websocket.send", "text": "x" * 1_000_000})
        except TimeoutError:
            cut_off.set()

    head = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    async with served(app, websockets=True) as running:
        client = await running.client(receive_buffer=4096)
        await client.send(head + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        await cut_off.wait()
        while running.connections:
            await asyncio.sleep(0)
