"""Requests as they come over a plain connection: whole, in pieces, several at a time, and broken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from assay.listening import Limits
from tests.listening.served import mirror, say, served, whole_body

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\n"
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n"


async def test_a_request_may_come_byte_by_byte() -> None:
    request = b"POST /%41?q=%42 HTTP/1.1\r\nHost: x\r\nX-Two: \t2 \t\r\nContent-Length: 3\r\n\r\nabc"
    async with served(mirror) as running:
        client = await running.client()
        for at in range(len(request)):
            await client.send(request[at : at + 1])
        assert await client.answer() == (b"HTTP/1.1 200 OK", b"POST /%41?q=%42 [host,x-two,content-length] abc")


async def test_blanks_around_the_value_of_a_header_are_no_part_of_it() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        await say(send)

    async with served(app) as running:
        await (client := await running.client()).send(b"GET / HTTP/1.1\r\nHost:x\r\nX-A: \t a b \t\r\nX-B:\r\n\r\n")
        await client.answer()
    assert seen == [(b"host", b"x"), (b"x-a", b"a b"), (b"x-b", b"")]


async def test_what_an_application_is_told() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        await say(send)

    async with served(app) as running:
        client = await running.client()
        await client.send(b"PUT http://there/%C3%A4%20b?c=%C3%A4 HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.answer()
        own = client.writer.get_extra_info("sockname")
        assert seen["client"] == (own[0], own[1])
        assert seen["server"] == ("127.0.0.1", running.port)
    assert (seen["type"], seen["scheme"], seen["http_version"], seen["method"]) == ("http", "http", "1.1", "PUT")
    assert (seen["path"], seen["raw_path"], seen["query_string"]) == ("/ä b", b"/%C3%A4%20b", b"c=%C3%A4")


async def test_requests_that_do_not_wait_for_answers_are_answered_in_their_order() -> None:
    first_may_end = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/a":
            await first_may_end.wait()
        else:
            first_may_end.set()
        await mirror(scope, receive, send)

    post = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
    async with served(app) as running:
        client = await running.client()
        await client.send(post + post)
        assert [(await client.answer())[1] for _ in range(2)] == [b"POST /b? [host,content-length] hi"] * 2
        first_may_end.clear()
        await client.send(GET + post + LAST)
        first_may_end.set()
        bodies = [(await client.answer())[1] for _ in range(3)]
        assert bodies == [b"GET /a? [host] ", b"POST /b? [host,content-length] hi", b"GET /last? [host,connection] "]
        assert await client.rest() == b""


async def test_no_more_requests_than_a_few_wait_on_a_connection() -> None:
    async with served(mirror) as running:
        answers = await running.exchange(GET * 1000)
    assert 1 <= answers.count(b"HTTP/1.1 200 OK") < 100


async def test_a_large_body_is_not_read_before_it_is_wanted() -> None:
    wanted, size = asyncio.Event(), 50 << 20
    most = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal most
        await wanted.wait()
        total, more = 0, True
        while more:
            message = await receive()
            more = message["more_body"]
            total += len(message["body"])
            most = max(most, len(message["body"]))
        await say(send, b"%d" % total)

    async with served(app) as running:
        client = await running.client()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        sending = asyncio.create_task(client.send(b"x" * size))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not sending.done()
        wanted.set()
        await sending
        assert (await client.answer())[1] == b"%d" % size
    assert most < 1 << 20


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked() -> None:
    async with served(mirror) as running:
        client = await running.client()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await client.head() == (b"HTTP/1.1 100 Continue", {})
        await client.send(b"ok")
        assert (await client.answer())[1].endswith(b" ok")


async def test_a_client_whose_body_is_not_wanted_is_not_asked_for_it_and_the_connection_ends() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await say(send, b"no", 413)

    async with served(app) as running:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        answers = await running.exchange(head)
    assert answers.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answers


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
async def test_an_answer_given_before_its_body_was_read_arrives(close: bytes) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await say(send, b"enough", 413)

    size = 8 << 20
    async with served(app) as running:
        client = await running.client()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n" % (close, size))
        await client.send(b"x" * size)
        assert await client.answer() == (b"HTTP/1.1 413 Request Entity Too Large", b"enough")
        if not close:
            await client.send(LAST)
            assert (await client.answer())[0].startswith(b"HTTP/1.1 413 ")
        assert await client.rest() == b""


async def test_trailers_are_no_headers() -> None:
    after: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await whole_body(receive)
        after.extend(name for name, _ in scope["headers"])
        await say(send)

    async with served(app) as running:
        client = await running.client()
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.send(head + b"2;a=b\r\nhi\r\n0\r\nAuthorization: Bearer x\r\n\r\n" + LAST)
        await client.answer()
        await client.answer()
    assert after == [b"host", b"transfer-encoding", b"host", b"connection"]


async def test_a_wish_for_a_protocol_that_is_not_offered_costs_a_request_nothing() -> None:
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
    async with served(mirror) as running:
        client = await running.client()
        await client.send(b"POST /b HTTP/1.1\r\nHost: x\r\n%bContent-Length: 2\r\n\r\nhi" % wish)
        line, body = await client.answer()
        assert (line, body) == (b"HTTP/1.1 200 OK", b"POST /b? [host,connection,http2-settings,content-length] hi")
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert (await client.answer())[0] == b"HTTP/1.1 200 OK"
        await client.send(LAST)
        assert (await client.answer())[1] == b"GET /last? [host,connection] "


async def test_a_method_that_nobody_knows_is_for_the_application_to_refuse() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await say(send, scope["method"].encode(), 405)

    async with served(app) as running:
        answers = await running.exchange(b"BREW /pot HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
    assert answers.startswith(b"HTTP/1.1 405 ")
    assert answers.endswith(b"\r\n\r\nBREW")


async def test_what_follows_a_body_is_not_taken_for_the_beginning_of_a_request() -> None:
    paths: list[tuple[str, str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        paths.append((scope["method"], scope["path"]))
        await say(send)

    hidden = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    async with served(app) as running:
        client = await running.client()
        await client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(hidden))
        await client.answer()
        await client.send(hidden + b"BREW /b HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.rest()
        await running.exchange(b"P", hidden)
    assert paths[0] == ("POST", "/a")
    assert ("GET", "/hidden") not in paths


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT there:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"BREW there HTTP/1.1\r\nHost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_cannot_be_understood_is_refused_and_the_connection_closed(request_: bytes) -> None:
    async with served(mirror) as running:
        answers = await running.exchange(request_ + LAST)
    assert answers.startswith(BAD_REQUEST)
    assert b"/last" not in answers


async def test_the_requests_before_a_broken_one_are_answered() -> None:
    async with served(mirror) as running:
        answers = await running.exchange(GET + GET + b"nonsense\r\n\r\n")
    assert answers.count(b"HTTP/1.1 200 OK") == 2


async def test_a_broken_body_is_refused_while_it_is_waited_for() -> None:
    lost = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        lost.append((await receive())["type"])

    async with served(app) as running:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert (await running.exchange(head + b"1\r\na\r\n", b"no number\r\n")).startswith(BAD_REQUEST)
    assert lost == ["http.disconnect"]


async def test_a_head_may_be_as_large_as_the_limit_and_no_larger() -> None:
    def request(filler: int) -> bytes:
        return b"GET / HTTP/1.1\r\nHost: x\r\nX-A: %b\r\n\r\n" % (b"a" * filler)

    counted = len("/") + len("Host: x\r\n") + len("X-A: \r\n")
    async with served(mirror, Limits(head_bytes=4096)) as running:
        client = await running.client()
        for _ in range(2):
            await client.send(request(4096 - counted))
            assert (await client.answer())[0] == b"HTTP/1.1 200 OK"
        await client.send(request(4096 - counted + 1))
        assert (await client.rest()).startswith(TOO_LARGE)


async def test_a_body_is_no_part_of_the_head_that_is_bounded() -> None:
    async with served(mirror, Limits(head_bytes=4096)) as running:
        client = await running.client()
        for _ in range(2):
            await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000)
            assert len((await client.answer())[1]) > 2_000_000


@pytest.mark.parametrize(
    "endless",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ",
        b"GET /",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: ",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
    ],
    ids=["header", "address", "trailer", "extension"],
)
async def test_what_never_ends_and_is_no_body_is_refused(endless: bytes) -> None:
    async with served(mirror, Limits(head_bytes=4096)) as running:
        client = await running.client()
        await client.send(endless)
        for _ in range(50):
            if client.writer.is_closing():
                break
            await client.send(b"a" * 10_000)
        assert (await client.rest()).startswith(TOO_LARGE)


async def test_a_head_has_at_most_a_hundred_headers() -> None:
    async with served(mirror) as running:
        client = await running.client()
        await client.send(b"GET / HTTP/1.1\r\n" + b"X-A: 1\r\n" * 100 + b"\r\n")
        assert (await client.answer())[0] == b"HTTP/1.1 200 OK"
        assert (await running.exchange(b"GET / HTTP/1.1\r\n" + b"X-A: 1\r\n" * 101 + b"\r\n")).startswith(TOO_LARGE)
