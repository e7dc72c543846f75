"""Listening: a socket bound by us, so that a taken port is an error and port 0 can be told, and granian serving on it.

Used by every program of Assay that serves HTTP. Left to bind for itself granian sets SO_REUSEPORT, and a second server on a
taken port would share its requests in silence.
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
from typing import Any

from granian import _granian
from granian.constants import Interfaces, SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server

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
    between two requests alike: granian has one clock for both.
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

    End the process with `os._exit` after the loop: threads of granian may outlive it and abort when the interpreter is
    taken apart.
    """
    servers = [_Embedded(door) for door in doors]
    told = asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, told.set)

    async def stop() -> None:
        await told.wait()
        await stopping()
        for server in servers:
            server.stop()  # type: ignore[no-untyped-call]

    stopper = asyncio.create_task(stop())
    try:
        await asyncio.gather(*(server.serve() for server in servers))
    finally:
        stopper.cancel()


class _Embedded(Server):
    """granian in this process and loop, on a listener that is ours."""

    def __init__(self, door: Door) -> None:
        super().__init__(
            door.app,
            interface=Interfaces.ASGINL,
            backlog=_BACKLOG,
            backpressure=_BACKLOG,
            websockets=door.websockets,
            log_enabled=False,
            http1_settings=HTTP1Settings(
                header_read_timeout=max(1, round(door.limits.idle_s * 1000)), max_buffer_size=door.limits.head_bytes
            ),
            http2_settings=HTTP2Settings(max_headers_size=door.limits.head_bytes),
            ssl_cert=door.tls.cert if door.tls else None,
            ssl_key=door.tls.key if door.tls else None,
            ssl_protocol_min=SSLProtocols.tls12,
        )
        self._listener = door.listener

    def _init_shared_socket(self) -> None:
        holder: Any = _granian.SocketHolder
        self._shd = holder(self._listener.detach(), False, _BACKLOG)
