"""Listening: a socket bound by us, so that a taken port is an error and port 0 can be told, and who serves on it.

Used by every program of Assay that serves HTTP. A plain door is served on the event loop's own thread (`plain`), a door with
TLS by granian (`secure`).
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from assay.listening.exchange import Whole as Whole
from assay.listening.plain import PlainDoor
from assay.model.errors import CannotListen

_BACKLOG = 2048


@dataclass(frozen=True)
class Tls:
    """The files of https: the certificate with those that signed it, and its key, as PEM."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Limits:
    """What the head of a request is held to. `idle_s` bounds the wait for it, on a connection that has just been made and
    between two requests alike.
    """

    idle_s: float = 30.0
    head_bytes: int = 400 << 10


@dataclass(frozen=True)
class Door:
    """An ASGI application on a listening socket; `tls` None for plain HTTP."""

    app: Any
    listener: socket.socket
    tls: Tls | None = None
    limits: Limits = Limits()
    websockets: bool = False
    """Whether the application understands WebSockets; without, a request to open one is a request like any other."""


def bind(host: str, port: int, purpose: str = "") -> socket.socket:
    """Return a listening socket. Raises CannotListen naming the option to change; `purpose` is how its options begin."""
    option = f"--{purpose}-" if purpose else "--"
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OverflowError:
        raise CannotListen(problem=f"{port} is no port: choose one from 0 to 65535 with {option}port") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            problem = f"Port {port} on {host} is in use: choose another with {option}port, or 0 for any free one"
        else:
            problem = f"Cannot listen on {host} port {port}: {error.strerror or error}; check {option}host and {option}port"
        raise CannotListen(problem=problem) from None


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    """Return the URL under which a listening socket is reached from its own machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def serve(app: Any, listener: socket.socket, stopping: Callable[[], Awaitable[None]]) -> None:
    """Serve one application: see `serve_all`."""
    await serve_all([Door(app, listener)], stopping)


async def serve_all(doors: Sequence[Door], stopping: Callable[[], Awaitable[None]]) -> None:
    """Serve ASGI applications until SIGINT or SIGTERM; `stopping` is awaited first, while requests are still
    answered.

    After a door with TLS end the process with `os._exit`: threads of granian may outlive the loop and abort when the
    interpreter is taken apart.
    """
    servers = [_server(door) for door in doors]
    told = asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, told.set)

    async def stop() -> None:
        await told.wait()
        await stopping()
        for server in servers:
            server.stop()

    stopper = asyncio.create_task(stop())
    try:
        await asyncio.gather(*(server.serve() for server in servers))
    finally:
        stopper.cancel()


class _Server(Protocol):
    async def serve(self) -> None: ...
    def stop(self) -> None: ...


def _server(door: Door) -> _Server:
    if door.tls is None:
        return PlainDoor(door, _BACKLOG)
    from assay.listening.secure import SecureDoor  # only where it is needed: it starts threads

    server: _Server = SecureDoor(door, _BACKLOG)
    return server
