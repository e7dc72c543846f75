"""Short HTTP/1.1 exchanges with one server, over connections that are kept.

A worker makes a few for each run, and a general client takes several times the CPU for each. This one sends a body whole and
reads an answer whole, and knows nothing of redirects, cookies, proxies and compression.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_IDLE_S = 10.0
"""How long a connection is kept that nobody uses: less than servers keep theirs."""
_MOST_IDLE = 8
_LONGEST_HEAD = 1 << 16


class Broken(ConnectionError):
    """There was no connection to be had, it ended before its time, or what came was no HTTP."""


@dataclass(frozen=True)
class Answer:
    """What a server has answered; names of headers in lower case, the last of equal ones."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    since: float = 0.0
    """When it was last used; 0: never."""


class Exchanges:
    """Exchanges with the server at `url`, whose path goes before those that are asked for."""

    def __init__(self, url: str, *, connect_s: float = 5.0) -> None:
        parts = urlsplit(url)
        self._host, self._base, self._connect_s = parts.hostname or "", parts.path.rstrip("/"), connect_s
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._named = parts.netloc.rpartition("@")[2]
        self._idle: list[_Connection] = []

    async def ask(
        self, method: str, path: str, body: bytes, headers: Iterable[tuple[str, str]] = (), timeout_s: float = 60.0
    ) -> Answer:
        """Return the answer to a request. Raises Broken, TimeoutError."""
        lines = [f"{method} {self._base}{path} HTTP/1.1", f"Host: {self._named}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if any("\r" in line or "\n" in line for line in lines):
            raise Broken("a header or a path holds a line break")
        request = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body
        async with asyncio.timeout(timeout_s):
            while True:
                connection = self._kept() or await self._connect()
                try:
                    connection.writer.write(request)
                    head = await _head(connection.reader)
                    answer, keep = await _answer(connection.reader, head)
                except BaseException as error:
                    connection.writer.transport.abort()
                    if isinstance(error, _Silent) and connection.since:
                        continue  # it was idle, and the server has given it up
                    if isinstance(error, _Silent | OSError | EOFError | ValueError | asyncio.LimitOverrunError):
                        raise Broken(f"the connection to {self._named} broke ({type(error).__name__})") from error
                    raise
                self._keep(connection, keep)
                return answer

    def close(self) -> None:
        """Give up the connections that are idle."""
        while self._idle:
            self._idle.pop().writer.close()

    def _kept(self) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if now - connection.since < _IDLE_S and not connection.reader.at_eof():
                return connection
            connection.writer.close()
        return None

    def _keep(self, connection: _Connection, keep: bool) -> None:
        if keep and len(self._idle) < _MOST_IDLE:
            connection.since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.writer.close()

    async def _connect(self) -> _Connection:
        try:
            async with asyncio.timeout(self._connect_s):
                opened = asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=_LONGEST_HEAD)
                return _Connection(*await opened)
        except (OSError, TimeoutError) as error:
            raise Broken(f"no connection to {self._named} ({type(error).__name__})") from error


class _Silent(Exception):
    """The connection ended before anything was answered."""


async def _head(reader: asyncio.StreamReader) -> bytes:
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            raise _Silent from error
        except ConnectionError as error:
            raise _Silent from error
        if not head.startswith(b"HTTP/1.1 1"):  # what is yet to come is announced by these
            return head


async def _answer(reader: asyncio.StreamReader, head: bytes) -> tuple[Answer, bool]:
    """Return the answer that begins with `head`, and whether the connection can be used again. Raises ValueError."""
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    version, status = first.split(" ", 2)[:2]
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    if status in ("204", "304"):
        body = b""
    elif "chunked" in headers.get("transfer-encoding", "").lower():
        body = await _chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body, keep = await reader.read(), False
    return Answer(int(status), headers, body), keep


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return bytes(body)
