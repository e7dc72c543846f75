"""Watches live events as a program would: over HTTP with the standard library, over WebSocket with aiohttp."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from tests.server.client import JOBS, PATIENCE_S, Api

_PATIENT = 6
"""So many times in a row a stream may say that it has nothing to say, which it does every 15 seconds."""
ALL = "/api/v1/evaluations/stream"


def stream_of(job_id: str) -> str:
    """Return the path of a job's stream."""
    return f"{JOBS}/{job_id}/stream"


@dataclass(frozen=True)
class Told:
    """A server-sent event. `id` 0: it had none."""

    id: int
    kind: str
    data: dict[str, Any]


class Watch:
    """A connection that is open from the beginning of a block, where the answer has begun, to its end."""

    def __init__(self, api: Api, path: str, last: int | str | None = None, *, receive_buffer: int = 0) -> None:
        parts = urlsplit(api.url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
        if receive_buffer:
            opened = socket.socket()
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            opened.settimeout(PATIENCE_S)
            opened.connect((parts.hostname, parts.port))
            self._connection.sock = opened
        headers = {} if last is None else {"Last-Event-ID": str(last)}
        self._connection.request("GET", path, headers={**api.headers, **headers})
        self.answer = self._connection.getresponse()

    def __enter__(self) -> Watch:
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.readline() == b"retry: 1000\n"
        assert self.answer.readline().startswith(b"id: ")
        assert self.answer.readline() == b"\n"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()
        self.answer.close()

    def __iter__(self) -> Iterator[Told]:
        """Yield events as they come, until the stream ends or breaks off."""
        fields: dict[str, str] = {}
        idle = 0
        while True:
            try:
                line = self.answer.readline().decode()
            except (http.client.HTTPException, ConnectionError):
                return
            if not line.endswith("\n"):
                return
            idle = idle + 1 if line.startswith(":") else 0 if line != "\n" else idle
            assert idle < _PATIENT, "nothing came"
            name, _, value = line.removesuffix("\n").partition(": ")
            if line == "\n" and fields:
                yield Told(int(fields.get("id", 0)), fields["event"], json.loads(fields["data"]))
                fields = {}
            elif name:
                fields[name] = value

    def until(self, kind: str) -> list[Told]:
        """Return what is told up to the first event of a type."""
        seen = []
        for told in self:
            seen.append(told)
            if told.kind == kind:
                return seen
        raise AssertionError(f"the stream ended without {kind}: {[told.kind for told in seen]}")


def kinds(told: list[Told]) -> list[str]:
    """Return the types of the events of the history among what was told."""
    return [one.kind for one in told if one.id]
