"""Receivers of notifications: real HTTP servers that answer as a test says and remember what came."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.evalhub.live import until


@dataclass(frozen=True)
class Received:
    """A request as it came. Names of headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


@dataclass
class Receiver:
    """`answer` gives the status of the n-th request (from 1), and perhaps headers; it may also wait."""

    url: str = ""
    answer: Callable[[int], tuple[int, dict[str, str]]] = lambda n: (204, {})
    body: bytes = b""
    received: list[Received] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def hang(self, n: int) -> tuple[int, dict[str, str]]:
        """Do not answer before the end of the test."""
        self.released.wait(120)
        return 204, {}

    def events(self, job_id: str = "") -> list[dict[str, Any]]:
        """The events that came, of one job only if it is named."""
        return [one.event for one in list(self.received) if not job_id or one.event["data"].get("job_id") == job_id]

    def types(self, job_id: str = "") -> list[str]:
        return [event["type"] for event in self.events(job_id)]

    def wait(self, count: int, job_id: str = "") -> list[dict[str, Any]]:
        """Wait until so many events have come; return them."""
        found: list[dict[str, Any]] = until(
            lambda: len(events := self.events(job_id)) >= count and events, f"{count} events after {self.types()}"
        )
        return found


@contextmanager
def receiver(**behaviour: Any) -> Iterator[Receiver]:
    """Run a receiver on a free port of this machine."""
    made = Receiver(**behaviour)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                made.received.append(Received(self.path, {n.lower(): v for n, v in self.headers.items()}, body))
                number = len(made.received)
            status, headers = made.answer(number)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(made.body)))
            self.end_headers()
            self.wfile.write(made.body)

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:  # a sender may hang up
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.released.set()
        server.shutdown()
        server.server_close()
