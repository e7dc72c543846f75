"""An application on a plain door, and a client that sends bytes as they are."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from assay import eventloop
from assay.listening import Door, Limits, bind
from assay.listening.plain import PlainDoor

Application = Callable[[Any, Any, Any], Awaitable[None]]
PATIENCE_S = 30.0
_LIMITS = Limits()


async def say(send: Any, body: bytes = b"", status: int = 200, headers: Any = (), *, sized: bool = True) -> None:
    """Answer with a body, whose length is told."""
    length = [(b"content-length", b"%d" % len(body))] if sized else []
    await send({"type": "http.response.start", "status": status, "headers": [*length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def whole_body(receive: Any) -> bytes:
    """Receive the body of a request."""
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
        more = message["more_body"]
    return body


async def mirror(scope: Any, receive: Any, send: Any) -> None:
    """Answer with what was asked."""
    body = await whole_body(receive)
    names = b",".join(name for name, _ in scope["headers"])
    said = b"%s %s?%s [%s] %s" % (scope["method"].encode(), scope["raw_path"], scope["query_string"], names, body)
    await say(send, said)


class Client:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    def stop_reading(self) -> None:
        """Leave what comes from now on to whoever sent it."""
        transport: Any = self.writer.transport
        transport.pause_reading()

    async def head(self) -> tuple[bytes, dict[bytes, bytes]]:
        """Read a head; return the status line and the headers."""
        line, *rest = (await self._reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        return line, dict(header.split(b": ", 1) for header in rest)

    async def answer(self) -> tuple[bytes, bytes]:
        """Read an answer whose length is told; return the status line and the body."""
        line, headers = await self.head()
        return line, await self._reader.readexactly(int(headers[b"content-length"]))

    async def rest(self) -> bytes:
        """Read until the server closes."""
        return await self._reader.read()


class Served:
    """An application that is being served."""

    def __init__(self, door: PlainDoor, port: int) -> None:
        self.door, self.port = door, port
        self._clients: list[Client] = []

    @property
    def connections(self) -> list[Any]:
        """Connections that are open on the server's side."""
        return list(self.door._state.connections)

    async def client(self, *, receive_buffer: int = 0) -> Client:
        """Return a new connection."""
        plain = socket.socket()
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", self.port))
        made = Client(*await asyncio.open_connection(sock=plain))
        self._clients.append(made)
        return made

    async def exchange(self, *pieces: bytes) -> bytes:
        """Send bytes on a connection of their own; return all that comes back until the server closes it."""
        client = await self.client()
        for piece in pieces:
            await client.send(piece)
        return await client.rest()

    def leave(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.writer.close()


@asynccontextmanager
async def served(app: Application, limits: Limits = _LIMITS, *, websockets: bool = False) -> AsyncIterator[Served]:
    """Serve during the block; it must then stop."""
    with bind("127.0.0.1", 0) as listener:
        door = PlainDoor(Door(app, listener, None, limits, websockets), 16)
        running = Served(door, listener.getsockname()[1])
        serving = asyncio.create_task(door.serve())
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield running
                running.leave()
                door.stop()
                await serving
        finally:
            await eventloop.end(serving)
