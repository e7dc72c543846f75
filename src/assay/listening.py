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
from collections.abc import Awaitable, Callable
from typing import Any

from granian import _granian
from granian.constants import Interfaces
from granian.server.embed import Server

from assay.model.errors import CannotListen

_BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises CannotListen naming the option to change."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OverflowError:
        raise CannotListen(problem=f"{port} is no port: choose one from 0 to 65535 with --port") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            problem = f"Port {port} on {host} is in use: choose another with --port, or 0 for any free one"
        else:
            problem = f"Cannot listen on {host} port {port}: {error.strerror or error}; check --host and --port"
        raise CannotListen(problem=problem) from None


def url_of(listener: socket.socket) -> str:
    """Return the URL under which a listening socket is reached from its own machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(app: Any, listener: socket.socket, stopping: Callable[[], Awaitable[None]]) -> None:
    """Serve an ASGI application until SIGINT or SIGTERM; `stopping` is awaited first, while requests are still
    answered.

    End the process with `os._exit` after the loop: threads of granian may outlive it and abort when the interpreter is
    taken apart.
    """
    server = _Embedded(app, listener)
    told = asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, told.set)

    async def stop() -> None:
        await told.wait()
        await stopping()
        server.stop()  # type: ignore[no-untyped-call]

    stopper = asyncio.create_task(stop())
    try:
        await server.serve()
    finally:
        stopper.cancel()


class _Embedded(Server):
    """granian in this process and loop, on a listener that is ours."""

    def __init__(self, app: Any, listener: socket.socket) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            backlog=_BACKLOG,
            backpressure=_BACKLOG,
            websockets=False,
            log_enabled=False,
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:
        holder: Any = _granian.SocketHolder
        self._shd = holder(self._listener.detach(), False, _BACKLOG)
