"""A practice endpoint in a process of its own, as users start it, and a small client for it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 30.0
READY = "practice model ready on "


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        """The data of the server-sent events."""
        return [line[6:] for line in self.body.decode().split("\n\n") if line.startswith("data: ")]


@dataclass(frozen=True)
class Endpoint:
    """A running endpoint."""

    host: str
    port: int
    process: subprocess.Popen[str]

    def call(self, method: str, path: str, body: Any = None, *, key: str | None = None, patience: float = PATIENCE) -> Reply:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=patience)
        try:
            data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            connection.request(method, path, data, {"Authorization": f"Bearer {key}"} if key else {})
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, headers, answer.read())
        finally:
            connection.close()

    def get(self, path: str, key: str | None = None) -> Reply:
        return self.call("GET", path, key=key)

    def post(self, path: str, body: Any, key: str | None = None) -> Reply:
        return self.call("POST", path, body, key=key)

    def complete(self, prompt: Any, **members: Any) -> Reply:
        return self.post("/v1/completions", {"model": "practice", "temperature": 0, "prompt": prompt} | members)

    def chat(self, content: Any, **members: Any) -> Reply:
        messages = [{"role": "user", "content": content}]
        body = {"model": "practice", "temperature": 0, "messages": messages} | members
        return self.post("/v1/chat/completions", body)

    def stats(self) -> Any:
        return self.get("/stats").json


@contextmanager
def running(*flags: str, key: str | None = None) -> Iterator[Endpoint]:
    """A practice endpoint on a free port, stopped at the end; it must stop cleanly."""
    environment = {name: value for name, value in os.environ.items() if name != "ASSAY_PRACTICE_API_KEY"}
    if key is not None:
        environment["ASSAY_PRACTICE_API_KEY"] = key
    command = [sys.executable, "-m", "assay.practice", "--port", "0", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(READY), line
        url = urlsplit(line.removeprefix(READY).strip())
        assert url.hostname is not None
        assert url.port is not None
        assert url.path == "/v1"
        try:
            yield Endpoint(url.hostname, url.port, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                status = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    assert status == 0, f"stopped with {status}"
