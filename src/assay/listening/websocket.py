"""WebSockets on a plain door."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_LEAVE_S = 15.0
"""How long after its end a client has for what was sent to it, and for the closing handshake."""


class WebSocket(WebSocketsSansIOProtocol):
    """uvicorn's, but that it ends though the client does not read any more."""

    async def run_asgi(self) -> None:
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(_LEAVE_S, self.transport.abort)
