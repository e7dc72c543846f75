"""One HTTP/1.1 connection: a request is sent, then its answer is read, whole or as it comes.

The standard library's `http.client` loads the e-mail library and TLS to do the same, which takes a quarter of the time of
`assay jobs list`. This loads sockets, and TLS where the URL asks for it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Final, cast
from urllib.parse import SplitResult

_PIECE: Final = 1 << 16
_LONGEST_HEAD: Final = 1 << 16
_HAS_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_WITHOUT_BODY: Final = frozenset({204, 304})

Body = bytes | Iterable[bytes]


class NotHttp(Exception):
    """What came is no HTTP/1.1."""


class Cut(Exception):
    """The connection ended in the middle of an answer."""


@dataclass(frozen=True)
class Reply:
    """An answer: names of headers in lower case, the last of equal ones; `pieces` gives the body as it comes."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes] = field(repr=False)


class Connection:
    """A connection to the server that a URL names, for one request after another. `timeout_s` bounds each wait.

    Everything raises OSError (TimeoutError among them) for what the network does, NotHttp and Cut for what comes.
    """

    def __init__(self, server: SplitResult, timeout_s: float) -> None:
        """Connect. Raises ValueError for a name that no host can have."""
        host, secure = server.hostname or "", server.scheme == "https"
        self._not_taken: tuple[type[OSError], ...] = (BrokenPipeError, ConnectionResetError)
        self._host = server.netloc if server.netloc.isascii() else server.netloc.encode("idna").decode()
        # A name in bytes is looked up as it stands; one of text loads the rules for names of all alphabets first.
        name = cast(str, host.encode()) if host.isascii() else host
        self.socket = socket.create_connection((name, server.port or (443 if secure else 80)), timeout_s)
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if secure:
                import ssl

                self._not_taken += (ssl.SSLError,)
                self.socket = ssl.create_default_context().wrap_socket(self.socket, server_hostname=host)
        except BaseException:
            self.socket.close()
            raise
        self._incoming = self.socket.makefile("rb")
        self.open = True

    def close(self) -> None:
        """Close the connection. Closing twice is harmless."""
        self.open = False
        with suppress(OSError):
            self._incoming.close()
        self.socket.close()

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: Body | None) -> Reply:
        """Send a request and return its answer, of which the body is still to be read.

        `body` without a length is sent in chunks. Raises ValueError where the target or a header cannot be sent.
        """
        head = self._head(method, target, headers, body)
        # A server that refuses a body early (413) answers before it has read everything.
        with suppress(*self._not_taken):
            if isinstance(body, bytes):
                self.socket.sendall(head + body)
            else:
                self.socket.sendall(head)
                for piece in body or ():
                    if piece:
                        self.socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
                if body is not None:
                    self.socket.sendall(b"0\r\n\r\n")
        while True:
            version, status, received = _head_of(self._incoming)
            if status >= 200:
                break  # what is below announces an answer that is yet to come
        return Reply(status, received, self._pieces(method, version, status, received))

    def _head(self, method: str, target: str, headers: Mapping[str, str], body: Body | None) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}", "Accept-Encoding: identity"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if isinstance(body, bytes) or (body is None and method in _HAS_BODY):
            lines.append(f"Content-Length: {len(body or b'')}")
        elif body is not None:
            lines.append("Transfer-Encoding: chunked")
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("A header holds a line break")
        try:
            return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        except UnicodeEncodeError as error:
            unsent = error.object[error.start : error.end][:20]
            raise ValueError(f"Neither a path nor a header can carry '{unsent}'") from None

    def _pieces(self, method: str, version: str, status: int, headers: Mapping[str, str]) -> Iterator[bytes]:
        """Give the body of an answer as it comes; after it, close the connection if it is of no more use."""
        incoming, keep = self._incoming, version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        if method == "HEAD" or status in _WITHOUT_BODY:
            pass
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            while size := _number(_line(incoming).split(b";")[0], 16):
                yield from _exactly(incoming, size)
                _line(incoming)
            while _line(incoming):
                pass
        elif "content-length" in headers:
            yield from _exactly(incoming, _number(headers["content-length"].encode(), 10))
        else:
            keep = False
            while piece := incoming.read1(_PIECE):
                yield piece
        if not keep:
            self.close()


def _head_of(incoming: BufferedReader) -> tuple[str, int, dict[str, str]]:
    """Return version, status and headers of an answer. Raises ConnectionResetError where there is none at all."""
    try:
        first = _line(incoming)
    except Cut as error:
        raise ConnectionResetError("it closed the connection without an answer") from error
    version, _, rest = first.decode("latin-1").partition(" ")
    if not version.startswith("HTTP/1."):
        raise NotHttp
    status, left, headers = _number(rest[:3].encode("latin-1"), 10), _LONGEST_HEAD, dict[str, str]()
    while line := _line(incoming):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
        left -= len(line)
        if left < 0:
            raise NotHttp
    return version, status, headers


def _line(incoming: BufferedReader) -> bytes:
    """Return the next line without its end."""
    line = incoming.readline(_LONGEST_HEAD)
    if line.endswith(b"\n"):
        return line.rstrip(b"\r\n")
    raise NotHttp if len(line) == _LONGEST_HEAD else Cut


def _number(digits: bytes, base: int) -> int:
    try:
        number = int(digits, base)
    except ValueError as error:
        raise NotHttp from error
    if number < 0:
        raise NotHttp
    return number


def _exactly(incoming: BufferedReader, size: int) -> Iterator[bytes]:
    """Give the next `size` bytes as they come."""
    while size:
        piece = incoming.read1(min(size, _PIECE))
        if not piece:
            raise Cut
        size -= len(piece)
        yield piece
