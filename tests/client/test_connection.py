from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.client.connection import Connection, Cut, NotHttp
from tests.server.certificates import certificate


@contextmanager
def speaking(*words: bytes) -> Iterator[Connection]:
    """A connection to a server that says `words` to whatever it is asked, one after another, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection(urlsplit(f"http://127.0.0.1:{listener.getsockname()[1]}"), 10.0)
        server, _ = listener.accept()

        def speak() -> None:
            with server:
                server.recv(1000)
                for word in words:
                    server.sendall(word)

        talking = threading.Thread(target=speak)
        talking.start()
        try:
            yield connection
        finally:
            connection.close()
            talking.join()


def asked(*words: bytes, method: str = "GET") -> tuple[int, bytes, bool]:
    """The status and body of the answer that `words` are, and whether the connection can be used again."""
    with speaking(*words) as connection:
        reply = connection.ask(method, "/", {}, None)
        return reply.status, b"".join(reply.pieces), connection.open


def test_a_body_in_chunks_is_put_together_and_what_follows_it_is_read() -> None:
    chunks = b"4;note=x\r\nwiki\r\n5\r\npedia\r\n0\r\nX-After: all\r\n\r\n"
    assert asked(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunks) == (200, b"wikipedia", True)


def test_an_announcement_is_not_taken_for_the_answer() -> None:
    assert asked(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n") == (204, b"", True)


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    assert asked(b"HTTP/1.1 200 OK\r\n\r\n", b"to the ", b"end") == (200, b"to the end", False)


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: Close\r\n"])
def test_a_connection_that_the_server_gives_up_is_not_used_again(head: bytes) -> None:
    assert asked(head + b"Content-Length: 2\r\n\r\nok") == (200, b"ok", False)


def test_the_answer_to_head_has_a_length_and_no_body() -> None:
    assert asked(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n", method="HEAD") == (200, b"", True)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BAD: dict[str, tuple[bytes, type[Exception]]] = {
    "nothing": (b"", ConnectionResetError),
    "a status that is no number": (b"HTTP/1.1 two hundred\r\n\r\n", NotHttp),
    "a length below nothing": (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", NotHttp),
    "a chunk without a size": (CHUNKED + b"xyz\r\n", NotHttp),
    "a chunk below nothing": (CHUNKED + b"-5\r\n", NotHttp),
    "too many headers": (b"HTTP/1.1 200 OK\r\n" + b"X-Long: x\r\n" * 9000, NotHttp),
    "too long a header": (b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 70_000, NotHttp),
    "half a header": (b"HTTP/1.1 200 OK\r\nContent-Type: text", Cut),
    "half a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Cut),
    "half a chunk": (CHUNKED + b"5\r\nhal", Cut),
}


@pytest.mark.parametrize(("words", "error"), BAD.values(), ids=BAD)
def test_an_answer_that_is_none_or_not_whole_is_told_apart(words: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        asked(words)


PARTS = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.1 100", b"\r\n", b"\r\n\r\n", b"Content-Length: 3", b"Transfer-Encoding: chunked", b"3",
     b"abc", b"0", b"\x00", b"\xff", b":", b" ", b";"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(PARTS | st.binary(max_size=8), max_size=12).map(b"".join))
def test_whatever_comes_is_an_answer_or_an_error_that_has_words(words: bytes) -> None:
    try:
        status, _, _ = asked(words)
    except (NotHttp, Cut, ConnectionResetError):
        return
    assert 200 <= status <= 999


def test_a_header_with_a_line_break_is_not_sent() -> None:
    with speaking() as connection, pytest.raises(ValueError, match="line break"):
        connection.ask("GET", "/", {"Idempotency-Key": "a\r\nX-User: root"}, None)


@pytest.mark.parametrize(("target", "headers"), [("/日本", {}), ("/", {"Idempotency-Key": "鍵"})])
def test_what_a_head_cannot_carry_is_refused_in_words(target: str, headers: dict[str, str]) -> None:
    with speaking() as connection, pytest.raises(ValueError, match="can carry '[日鍵]"):
        connection.ask("GET", target, headers, None)


REFUSAL = b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_refusal_that_comes_before_the_body_is_taken_is_read(
    scheme: str, chunked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    def refuse() -> None:
        taken, _ = listener.accept()
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the end may overtake the answer
        with context.wrap_socket(taken, server_side=True) if scheme == "https" else taken as server:
            server.recv(1000)
            server.sendall(REFUSAL)

    with socket.create_server(("localhost", 0)) as listener:
        refusing = threading.Thread(target=refuse)
        refusing.start()
        connection = Connection(urlsplit(f"{scheme}://localhost:{listener.getsockname()[1]}"), 10.0)
        try:
            reply = connection.ask("POST", "/", {}, (b"x" * 1_000_000 for _ in range(50)) if chunked else b"x" * 50_000_000)
            assert (reply.status, b"".join(reply.pieces)) == (413, b"too large")
        finally:
            connection.close()
            refusing.join()
