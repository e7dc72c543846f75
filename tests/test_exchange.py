"""Short exchanges with a server: connections are kept, given-up ones replaced, and whatever is no answer is an error."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from assay.exchange import Broken, Exchanges
from tests.server.certificates import certificate

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nyo"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops."""
    return "asyncio", {"use_uvloop": request.param}


class Scripted:
    """A server that gives one scripted answer after another, whatever it is asked; None hangs up instead."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.asked: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self.answers:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
            self.asked.append(head + await reader.readexactly(length))
            answer = self.answers.pop(0)
            if answer is None:
                break
            writer.write(answer)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def exchanges(scripted: Scripted, path: str = "") -> AsyncIterator[Exchanges]:
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    found = Exchanges(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}")
    yield found
    found.close()
    server.close()


async def test_a_request_is_whole_and_its_connection_is_used_again() -> None:
    scripted = Scripted(_ANSWER, _ANSWER)
    async with exchanges(scripted, "/base/") as server:
        for _ in range(2):
            answer = await server.ask("POST", "/x?a=1", b"body", [("X-One", "1")])
            assert (answer.status, answer.body) == (200, b"yo")
            assert answer.headers == {"content-type": "text/plain", "content-length": "2"}
    assert scripted.connections == 1
    head, _, body = scripted.asked[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert (first, body) == ("POST /base/x?a=1 HTTP/1.1", b"body")
    assert {line.split(":")[0] for line in lines} == {"Host", "Content-Length", "X-One"}


@pytest.mark.parametrize(
    ("answer", "status", "body", "kept"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", 500, b"x", False),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n",
            200,
            b"abcde",
            True,
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + _ANSWER, 200, b"yo", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nyo", 200, b"yo", False),
    ],
    ids=["nothing", "close", "chunks", "continue", "old"],
)
async def test_every_form_of_answer_is_read(answer: bytes, status: int, body: bytes, kept: bool) -> None:
    scripted = Scripted(answer, _ANSWER)
    async with exchanges(scripted) as server:
        found = await server.ask("POST", "/", b"")
        assert (found.status, found.body) == (status, body)
        assert (await server.ask("POST", "/", b"")).body == b"yo"
    assert scripted.connections == (1 if kept else 2)


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    scripted = Scripted(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    async with exchanges(scripted) as server:
        assert (await server.ask("GET", "/", b"")).body == b"all of it"


async def test_a_connection_that_was_given_up_is_replaced() -> None:
    scripted = Scripted(_ANSWER, None, _ANSWER)
    async with exchanges(scripted) as server:
        await server.ask("POST", "/", b"1")
        assert (await server.ask("POST", "/", b"2")).status == 200
    assert scripted.connections == 2
    assert [asked[-1:] for asked in scripted.asked] == [b"1", b"2", b"2"]


@pytest.mark.parametrize(
    "answer",
    [None, b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"SSH-2.0\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000],
    ids=["nothing", "half a head", "half a body", "no HTTP", "no length", "endless head"],
)  # fmt: skip
async def test_whatever_is_no_answer_is_an_error(answer: bytes | None) -> None:
    scripted = Scripted(answer)
    async with exchanges(scripted) as server:
        with pytest.raises(Broken):
            await server.ask("POST", "/", b"")
    assert scripted.connections == 1


async def test_nobody_there_is_an_error_and_so_is_a_line_break_in_a_header() -> None:
    server = Exchanges("http://127.0.0.1:9")
    with pytest.raises(Broken, match="127.0.0.1:9"):
        await server.ask("POST", "/", b"")
    with pytest.raises(Broken, match="line break"):
        await server.ask("POST", "/", b"", [("X", "a\r\nY: b")])


async def test_a_server_that_does_not_answer_is_not_waited_for_for_ever() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    asking = Exchanges(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    with pytest.raises(TimeoutError):
        await asking.ask("POST", "/", b"", timeout_s=0.05)
    server.close()


async def test_over_tls_the_certificate_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = certificate(tmp_path, "localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    scripted = Scripted(_ANSWER)
    server = await asyncio.start_server(scripted.serve, "localhost", 0, ssl=context)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(Broken, match="no connection"):
        await Exchanges(url).ask("POST", "/", b"")
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    trusting = Exchanges(url)
    assert (await trusting.ask("POST", "/", b"")).body == b"yo"
    trusting.close()
    server.close()
