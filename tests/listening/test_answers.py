"""Answers over a plain connection: how they are framed, what becomes of one that is cut off, files, and kept answers."""

from __future__ import annotations

import asyncio
import logging
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from assay.listening import Limits
from tests.listening.served import mirror, say, served

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
STREAMED = {"type": "http.response.start", "status": 200, "headers": []}


def piece(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def test_an_answer_has_its_length_and_the_date() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await say(send, b"hi", headers=[(b"x-a", b"1")])

    async with served(app) as running:
        client = await running.client()
        await client.send(GET)
        line, headers = await client.head()
    assert line == b"HTTP/1.1 200 OK"
    assert parsedate_to_datetime(headers.pop(b"date").decode())
    assert headers == {b"content-length": b"2", b"x-a": b"1"}


async def test_what_is_streamed_comes_in_chunks_as_it_is_sent() -> None:
    step = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(STREAMED)
        await step.wait()
        for body in (b"one", b"", b"x" * 20):
            await send(piece(body))
        await send(piece(b"", more=False))

    async with served(app) as running:
        client = await running.client()
        await client.send(LAST)
        _, headers = await client.head()  # it does not wait for the body
        assert headers[b"transfer-encoding"] == b"chunked"
        step.set()
        assert await client.rest() == b"3\r\none\r\n14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n"


async def test_a_client_of_http_1_0_is_streamed_to_until_the_connection_ends() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(STREAMED)
        await send(piece(b"one"))
        await send(piece(b"two", more=False))

    async with served(app) as running:
        answer = await running.exchange(b"GET / HTTP/1.0\r\n\r\n")
    assert b"transfer-encoding" not in answer
    assert answer.endswith(b"\r\nconnection: close\r\n\r\nonetwo")


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_an_answer_that_has_no_body_has_none(method: str, status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await say(send, b"body" if method == "HEAD" else b"", status, sized=method == "HEAD")

    request = b"%b / HTTP/1.1\r\nHost: x\r\n" % method.encode()
    async with served(app) as running:
        answers = await running.exchange(request + b"\r\n" + request + b"Connection: close\r\n\r\n")
    heads = answers.split(b"\r\n\r\n")
    assert [head[:12] for head in heads] == [b"HTTP/1.1 %d" % status] * 2 + [b""]
    assert (b"content-length: 4" in heads[0]) is (method == "HEAD")
    assert b"transfer-encoding" not in answers


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"10")]], ids=["chunked", "sized"])
async def test_an_answer_that_is_cut_off_does_not_look_whole(headers: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**STREAMED, "headers": headers})
        await send(piece(b"one"))
        raise ValueError("in the middle")

    async with served(app) as running:
        assert not (await running.exchange(GET)).endswith(b"0\r\n\r\n")
    assert "in the middle" in caplog.text


async def test_an_application_that_fails_before_it_answers_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("at once")

    async with served(app) as running:
        client = await running.client()
        await client.send(GET)
        assert await client.answer() == (b"HTTP/1.1 500 Internal Server Error", b"")
    assert "at once" in caplog.text


@pytest.mark.parametrize("header", [(b"x-a", b"1\r\nx-b: 2"), (b"x-a", b"1\n"), (b"x-a: 1\r\nx-b", b"2")])
async def test_no_header_has_more_than_one_line(header: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await say(send, b"body", headers=[header])

    async with served(app) as running:
        assert b"x-b" not in await running.exchange(LAST)


@pytest.mark.parametrize("body", [b"short", b"longer than it was told"])
async def test_a_body_of_another_length_than_was_told_is_no_answer(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**STREAMED, "headers": [(b"content-length", b"10")]})
        await send(piece(body, more=False))

    async with served(app) as running:
        assert await running.exchange(LAST) == b""


async def test_an_application_may_end_the_connection() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await say(send, b"bye", headers=[(b"connection", b"Close")])

    async with served(app) as running:
        assert (await running.exchange(GET)).count(b"connection: close") == 1


async def test_a_client_that_does_not_read_is_waited_for() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send(STREAMED)
        while sent < 1000:
            await send(piece(b"x" * 100_000))
            sent += 1
        await send(piece(b"", more=False))

    async with served(app) as running:
        client = await running.client(receive_buffer=4096)
        await client.send(LAST)
        await client.head()
        before = -1
        while before != sent:
            before = sent
            for _ in range(100):
                await asyncio.sleep(0)
        assert sent < 1000
        assert (await client.rest()).endswith(b"0\r\n\r\n")
        assert sent == 1000


async def test_an_application_is_told_that_its_client_has_gone() -> None:
    told = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(STREAMED)
        assert (await receive())["type"] == "http.disconnect"
        await send(piece(b"to nobody"))
        told.set()

    async with served(app) as running:
        client = await running.client()
        await client.send(GET)
        await client.head()
        client.writer.close()
        await told.wait()


async def test_what_waits_behind_an_answer_is_dropped_with_its_client() -> None:
    started, told = [], asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        started.append(scope["path"])
        await send(STREAMED)
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        told.set()

    async with served(app) as running:
        client = await running.client()
        await client.send(GET + GET)
        await client.head()
        client.writer.close()
        await told.wait()
    assert started == ["/"]


async def test_a_connection_that_is_closed_and_not_read_is_dropped_in_the_end() -> None:
    ended = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await say(send, b"x" * (64 << 20), headers=[(b"connection", b"close")])
        ended.set()

    async with served(app, Limits(idle_s=0.05)) as running:
        client = await running.client(receive_buffer=4096)
        await client.send(GET)
        await ended.wait()
        (connection,) = running.connections
        await connection.gone


async def test_a_file_is_sent_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    content = bytes(range(256)) * 20_000
    file.write_bytes(content)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert "http.response.pathsend" in scope["extensions"]
        await send({**STREAMED, "headers": [(b"content-length", b"%d" % len(content))]})
        await send({"type": "http.response.pathsend", "path": str(file)})

    async with served(app) as running:
        client = await running.client()
        await client.send(GET + LAST)
        assert [(await client.answer())[1] for _ in range(2)] == [content, content]


class Keeping:
    """An application that has some answers at once."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.answer = b"kept"

    def at_once(self, scope: Any) -> Any:
        kept = (200, [(b"content-length", b"%d" % len(self.answer))], self.answer)
        return kept if scope["path"] == "/kept" else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.called.append(scope["path"])
        await mirror(scope, receive, send)


async def test_an_answer_that_is_kept_takes_its_turn_and_the_application_is_not_called() -> None:
    app = Keeping()
    kept, other = b"GET /kept HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n"
    async with served(app) as running:
        client = await running.client()
        await client.send(kept * 3 + other + kept + other + kept)
        bodies = [(await client.answer())[1] for _ in range(7)]
        said = b"GET /other? [host] "
        assert bodies == [b"kept", b"kept", b"kept", said, b"kept", said, b"kept"]
        await client.send(kept.replace(b"Host", b"Connection: close\r\nHost"))
        assert (await client.rest()).endswith(b"\r\nconnection: close\r\n\r\nkept")
    assert app.called == ["/other", "/other"]


async def test_answers_that_are_kept_do_not_pile_up_for_a_client_that_does_not_read() -> None:
    app = Keeping()
    app.answer = b"x" * 100_000
    async with served(app) as running:
        client = await running.client(receive_buffer=4096)
        await client.send(b"GET /kept HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.answer()
        (connection,) = running.connections
        client.stop_reading()
        while not app.called:
            await client.send(b"GET /kept HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(0)
            assert connection.transport.get_write_buffer_size() < 1_000_000
