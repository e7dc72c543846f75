"""A small HTTP client that sends exactly what it is told to, and shows everything that came back."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 60.0
JOBS = "/api/v1/evaluations/jobs"
PROVIDERS = "/api/v1/evaluations/providers"


@dataclass(frozen=True)
class Reply:
    """What came back. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def code(self) -> str:
        """The stable code of an error; empty for an answer that is none."""
        return str(self.json["message_code"]) if self.status >= 400 else ""

    @property
    def message(self) -> str:
        return str(self.json["message"])


class Api:
    """A server at `url`. `headers` go with every request; a connection is kept for each thread."""

    def __init__(self, url: str, **headers: str) -> None:
        self.url = url
        self.headers = headers
        self._local = threading.local()

    def as_(self, **headers: str) -> Api:
        """Return the same server with other headers, written with underscores: `x_tenant="a"`."""
        return Api(self.url, **{name.replace("_", "-"): value for name, value in headers.items()})

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """Send one request. `body`: bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection, reused = self._connection()
        try:
            connection.request(method, path, data, {**self.headers, **(headers or {})})
            answer = connection.getresponse()
            found = {n.lower(): v for n, v in answer.getheaders()}
            if found.get("content-type", "").startswith("text/event-stream"):  # it may have no end
                connection.close()
                self._local.connection = None
                return Reply(answer.status, found, b"")
            return Reply(answer.status, found, answer.read())
        except (http.client.RemoteDisconnected, ConnectionError):
            connection.close()
            self._local.connection = None
            if reused:  # the server closes connections that have been idle
                return self.call(method, path, body, headers)
            raise
        except BaseException:
            connection.close()
            self._local.connection = None
            raise

    def get(self, path: str, **headers: str) -> Reply:
        return self.call("GET", path, headers={n.replace("_", "-"): v for n, v in headers.items()})

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        return self.call("POST", path, body, {n.replace("_", "-"): v for n, v in headers.items()})

    def delete(self, path: str) -> Reply:
        return self.call("DELETE", path)

    def lines(self, path: str) -> Iterator[bytes]:
        """Begin to read an answer, on a connection of its own; return its lines as they arrive."""
        connection = self._open()
        connection.request("GET", path, headers=self.headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()

        def arriving() -> Iterator[bytes]:
            try:
                while line := answer.readline():
                    yield line
            finally:
                connection.close()

        return arriving()

    def raw(self, *pieces: bytes) -> bytes:
        """Send bytes as they are, on a connection of their own; return what comes back first."""
        parts = urlsplit(self.url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), PATIENCE_S) as connection:
            with contextlib.suppress(OSError):  # refused already: the answer is there to be read
                for piece in pieces:
                    connection.sendall(piece)
            received = b""
            while b"\r\n" not in received:
                piece = connection.recv(4096)
                assert piece, "the connection was closed without an answer"
                received += piece
            return received

    def submit(self, *benchmarks: str, provider: str = "manual", **members: Any) -> str:
        """Submit a job with these benchmarks of `provider`; return its id."""
        reply = self.post(JOBS, job_body(*benchmarks, provider=provider, **members))
        assert reply.status == 202, reply.text
        return str(reply.json["resource"]["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Return the document of a job."""
        reply = self.get(f"{JOBS}/{job_id}")
        assert reply.status == 200, reply.text
        return dict(reply.json)

    def report(self, job_id: str, status: str, *, provider: str = "manual", benchmark: str = "b0", **members: Any) -> Reply:
        """Post a status event about a benchmark."""
        event = {"provider_id": provider, "id": benchmark, "benchmark_index": 0, "status": status} | members
        return self.post(f"{JOBS}/{job_id}/events", {"benchmark_status_event": event})

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        """Return this thread's connection, and whether it has been used before."""
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is not None:
            return found, True
        self._local.connection = opened = self._open()
        return opened, False

    def _open(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)


def job_body(*benchmarks: str, provider: str = "manual", **members: Any) -> dict[str, Any]:
    """Return a valid submission; `members` are added or replace others."""
    listed = [{"id": benchmark, "provider_id": provider} for benchmark in benchmarks or ("b0",)]
    return {"name": "j", "model": {"url": "http://m.example/v1", "name": "m"}, "benchmarks": listed} | members


def unique(word: str = "n") -> str:
    """Return a name that nobody else uses."""
    return f"{word}-{uuid.uuid4().hex[:12]}"
