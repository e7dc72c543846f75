"""A door without TLS, served on the event loop's own thread."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from uvicorn.config import Config
from uvicorn.server import ServerState

from assay.listening.connection import Connection
from assay.listening.eager import Wakeful
from assay.listening.websocket import WebSocket

if TYPE_CHECKING:
    from assay.listening import Door

_GRACE_S = 20.0
"""How long requests that are being answered are waited for, when the door is to be closed."""
_LEAVE_S, _FLUSH_S = 1.0, 5.0
"""How long then for those of WebSockets that were closed, and for clients to take the rest of their answers."""
_LARGEST_MESSAGE = 1 << 16
"""Bytes of a WebSocket's message; a client has nothing to say on any of Assay's."""


class PlainDoor:
    """Serves until `stop` is called."""

    def __init__(self, door: Door, backlog: int) -> None:
        self._door, self._backlog = door, backlog
        self._stopping = asyncio.Event()
        self._state = ServerState()

    def stop(self) -> None:
        """Take no more connections, and end when those that are being answered have been."""
        self._stopping.set()

    async def serve(self) -> None:
        """Serve."""
        config = Config(
            self._door.app,
            ws=WebSocket if self._door.websockets else "none",
            ws_max_size=_LARGEST_MESSAGE,
            ws_per_message_deflate=False,
            lifespan="off",
            interface="asgi3",
            log_config=None,
            proxy_headers=False,
        )
        config.load()
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # it has a line for each WebSocket
        limits, state = self._door.limits, self._state
        loop = asyncio.get_running_loop()
        wakeful = Wakeful(loop)
        listening = await loop.create_server(
            lambda: Connection(config, state, limits, wakeful), sock=self._door.listener, backlog=self._backlog
        )
        try:
            await self._stopping.wait()
        finally:
            listening.close()
        await self._close()

    async def _close(self) -> None:
        loop, state = asyncio.get_running_loop(), self._state
        until = loop.time() + _GRACE_S
        for connection in list(state.connections):
            if isinstance(connection, Connection):  # a WebSocket is ended by the application, which may say why
                connection.shutdown()
        while state.tasks and loop.time() < until:
            await asyncio.wait(set(state.tasks), timeout=until - loop.time())
        for connection in list(state.connections):
            connection.shutdown()
        if state.tasks:
            await asyncio.wait(set(state.tasks), timeout=_LEAVE_S)
        for task in list(state.tasks):
            task.cancel()
        leaving = [connection.gone for connection in state.connections if isinstance(connection, Connection)]
        if leaving:
            await asyncio.wait(leaving, timeout=_FLUSH_S)
