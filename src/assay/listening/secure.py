"""A door with TLS: granian, which also speaks HTTP/2 there, in threads of its own and on a listener that is ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from granian import _granian
from granian.constants import Interfaces, SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server

if TYPE_CHECKING:
    from assay.listening import Door


class SecureDoor(Server):
    """Serves until `stop` is called.

    Left to bind for itself granian sets SO_REUSEPORT, and a second server on a taken port would share its requests in
    silence.
    """

    def __init__(self, door: Door, backlog: int) -> None:
        assert door.tls is not None
        super().__init__(
            door.app,
            interface=Interfaces.ASGINL,
            backlog=backlog,
            backpressure=backlog,
            websockets=door.websockets,
            log_enabled=False,
            http1_settings=HTTP1Settings(
                header_read_timeout=max(1, round(door.limits.idle_s * 1000)), max_buffer_size=door.limits.head_bytes
            ),
            http2_settings=HTTP2Settings(max_headers_size=door.limits.head_bytes),
            ssl_cert=door.tls.cert,
            ssl_key=door.tls.key,
            ssl_protocol_min=SSLProtocols.tls12,
        )
        self._listener = door.listener

    def _init_shared_socket(self) -> None:
        holder: Any = _granian.SocketHolder
        self._shd = holder(self._listener.detach(), False, self.backlog)
