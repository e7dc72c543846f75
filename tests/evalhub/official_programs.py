"""EvalHub's own programs, unmodified, run as processes with a home of their own: the command line and the MCP server."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.evalhub.live import PATIENCE_S

_BIN = Path(sys.executable).parent
_PROTOCOL = "2025-03-26"


@dataclass(frozen=True)
class Finished:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Evalhub:
    """The command line `evalhub` of one user."""

    home: Path

    def __call__(self, *arguments: str, code: int = 0, answer: str = "") -> Finished:
        """Run a command to its end, which must be with `code`; `answer` is typed in."""
        done = subprocess.run(
            [_BIN / "evalhub", *arguments],
            input=answer,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env=surroundings(self.home),
            cwd=self.home,
        )
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return Finished(done.returncode, done.stdout, done.stderr)

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command; it is killed at the end of the block if it is still at work, or after a minute."""
        process = subprocess.Popen(
            [_BIN / "evalhub", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=surroundings(self.home),
            cwd=self.home,
        )
        limit = threading.Timer(60, process.kill)
        limit.start()
        try:
            yield process
        finally:
            limit.cancel()
            process.kill()
            process.communicate()

    def fails(self, *arguments: str, code: int = 1) -> str:
        """Run a command that must fail; return what it says on standard error."""
        return self(*arguments, code=code).err.strip()


def surroundings(home: Path, **more: str) -> dict[str, str]:
    """Return an environment without settings of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EVALHUB_", "XDG_"))}
    return {**kept, "HOME": str(home), "COLUMNS": "240", "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}", **more}


def free_port() -> int:
    """Return a port that nobody listens on; for programs that cannot choose one themselves."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Mcp:
    """A session with an MCP server: JSON-RPC through `exchange`, which sends one message and returns its answer, if any."""

    def __init__(self, exchange: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._exchange = exchange
        self._number = 0
        about = {"protocolVersion": _PROTOCOL, "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}}
        self.server = self.call("initialize", **about)["serverInfo"]
        exchange({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def ask(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Return the whole answer to a request."""
        self._number += 1
        return self._exchange({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})

    def call(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Return the result of a request that must succeed."""
        answer = self.ask(method, **params)
        assert "result" in answer, answer
        return dict(answer["result"])

    def tool(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool that must succeed; return its structured result."""
        result = self.call("tools/call", name=name, arguments=arguments)
        assert not result.get("isError"), result
        return dict(result["structuredContent"])

    def refused(self, name: str, /, **arguments: Any) -> str:
        """Call a tool that must fail; return what it says."""
        result = self.call("tools/call", name=name, arguments=arguments)
        assert result["isError"], result
        return str(result["content"][0]["text"])

    def read(self, uri: str) -> Any:
        """Return the content of a resource."""
        (content,) = self.call("resources/read", uri=uri)["contents"]
        assert (content["uri"], content["mimeType"]) == (uri, "application/json")
        return json.loads(content["text"])


@contextlib.contextmanager
def mcp_over_stdio(home: Path, **settings: str) -> Iterator[Mcp]:
    """Run evalhub-mcp with its settings in the environment; it must end when its input does."""
    with (home / "mcp.log").open("w") as errors:
        process = subprocess.Popen(
            [_BIN / "evalhub-mcp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=surroundings(home, **settings),
            cwd=home,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    arrived: queue.Queue[str] = queue.Queue()
    lines, out = process.stdin, process.stdout

    def read() -> None:
        for line in out:
            arrived.put(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()

    def exchange(message: dict[str, Any]) -> dict[str, Any]:
        lines.write(json.dumps(message) + "\n")
        lines.flush()
        while "id" in message:
            answer = json.loads(arrived.get(timeout=PATIENCE_S))
            if answer.get("id") == message["id"]:
                return dict(answer)
        return {}

    try:
        yield Mcp(exchange)
        lines.close()
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
        reader.join(PATIENCE_S)
        out.close()


def mcp_over_http(url: str) -> Mcp:
    """Open a session with an MCP server that speaks streamable HTTP."""
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}

    def exchange(message: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(f"{url}/mcp", json.dumps(message).encode(), headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            _remember(headers, answer.headers)
            text = answer.read().decode()
        data = next((line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")), text)
        return dict(json.loads(data)) if data else {}

    return Mcp(exchange)


def _remember(headers: dict[str, str], answered: Mapping[str, str]) -> None:
    if session := answered.get("Mcp-Session-Id"):
        headers["Mcp-Session-Id"] = session
