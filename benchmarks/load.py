"""Load: requests over keep-alive connections, each connection with one request under way at a time.

`under_load` uses wrk where it is installed (`apt-get install wrk`), because it costs least CPU of its own; else the
generator below, which is also what seeds the servers and times requests one after another.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.servers import Server


class Ask(NamedTuple):
    """One request."""

    method: str
    path: str
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Load:
    """What a server did under load. `cpu_ms` is its own CPU time for one request."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float


class Connection:
    """A keep-alive HTTP/1.1 connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._reader: asyncio.StreamReader | None = None
        self.head = b""
        """Of the last answer, in lower case."""

    async def ask(self, request: Ask) -> tuple[int, bytes]:
        """Send a request; return status and body."""
        reader = await self._send(request)
        self.head = head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        if length := re.search(rb"\ncontent-length: *(\d+)", head):
            return status, await reader.readexactly(int(length[1]))
        if b"transfer-encoding: chunked" not in head:
            return status, b""
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return status, body

    async def hang_up(self, request: Ask, at: bytes) -> None:
        """Send a request and close the connection as soon as `at` has come, or the answer has ended without."""
        reader = await self._send(request._replace(headers=(*request.headers, ("Connection", "close"))))
        found = b""
        while at not in found and (more := await reader.read(1 << 16)):
            found += more
        self.close()

    async def _send(self, request: Ask) -> asyncio.StreamReader:
        if self._reader is None:
            self._reader, self._writer = await asyncio.open_connection(self._server.host, self._server.port, limit=1 << 26)
        self._writer.write(_encode(request, self._server))
        return self._reader

    async def expect(self, request: Ask, status: int) -> bytes:
        """Send a request that must be answered with `status`; return the body."""
        found, body = await self.ask(request)
        if found != status:
            raise SystemExit(f"{self._server.name}: {request.method} {request.path} gave {found}: {body[:500]!r}")
        return body

    def close(self) -> None:
        """Close it, if it was opened."""
        if self._reader is not None:
            self._reader = None
            self._writer.close()


def _encode(request: Ask, server: Server) -> bytes:
    body = request.body.encode()
    head = f"{request.method} {request.path} HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in request.headers)
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def under_load(server: Server, requests: Sequence[Ask], connections: int, seconds: float) -> Load:
    """Send the requests in turn, over and over, for `seconds`. Raises SystemExit if any is refused."""
    run = _wrk if shutil.which("wrk") and not any(request.headers for request in requests) else _own
    server.settle()
    before = server.cpu_s()
    count, took, p50, p99 = run(server, requests, connections, seconds)
    cpu = server.cpu_s() - before
    if not count:
        raise SystemExit(f"{server.name} answered no request within {seconds:g} s; give --seconds more")
    return Load(count, count / took, p50, p99, cpu / count * 1e3)


def each_once(server: Server, requests: Sequence[Ask], connections: int = 1) -> Load:
    """Send each request once; on each connection wait for the answer before the next."""
    server.settle()
    before = server.cpu_s()
    began = time.perf_counter()
    latencies = asyncio.run(_send(server, iter(requests), connections, float("inf")))
    took = time.perf_counter() - began
    cpu = server.cpu_s() - before
    return Load(len(latencies), len(latencies) / took, *_percentiles(latencies), cpu / len(latencies) * 1e3)


def _own(server: Server, requests: Sequence[Ask], connections: int, seconds: float) -> tuple[int, float, float, float]:
    began = time.perf_counter()
    latencies = asyncio.run(_send(server, itertools.cycle(requests), connections, began + seconds))
    return len(latencies), time.perf_counter() - began, *_percentiles(latencies)


async def _send(server: Server, requests: Iterator[Ask], connections: int, until: float) -> list[float]:
    """Send requests on several connections until they or the time are over; return the milliseconds of each."""
    latencies: list[float] = []

    async def one() -> None:
        connection = Connection(server)
        for request in requests:
            began = time.perf_counter()
            if began >= until:
                break
            status, body = await connection.ask(request)
            latencies.append((time.perf_counter() - began) * 1e3)
            if status >= 400:
                raise SystemExit(f"{server.name}: {request.method} {request.path} gave {status}: {body[:500]!r}")
        connection.close()

    await asyncio.gather(*[one() for _ in range(connections)])
    return latencies


def _percentiles(latencies: list[float]) -> tuple[float, float]:
    if len(latencies) < 2:
        return latencies[0], latencies[0]
    return statistics.median(latencies), statistics.quantiles(latencies, n=100, method="inclusive")[98]


_SCRIPT = """\
local asks, at = {{}}, 0
init = function(args)
  for line in io.lines({file}) do
    local method, path, body = line:match("^(%S+) (%S+) ?(.*)$")
    if body == "" then body = nil end
    asks[#asks + 1] = wrk.format(method, path, {{["Content-Type"] = "application/json"}}, body)
  end
end
request = function()
  at = at % #asks + 1
  return asks[at]
end
done = function(summary, latency, requests)
  local e = summary.errors
  print(string.format("measured %d %d %d %d %.3f %.3f", summary.requests, summary.duration, e.status,
    e.connect + e.read + e.write + e.timeout, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


def _wrk(server: Server, requests: Sequence[Ask], connections: int, seconds: float) -> tuple[int, float, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        listed, script = Path(folder, "requests"), Path(folder, "script.lua")
        listed.write_text("".join(f"{ask.method} {ask.path} {ask.body}\n" for ask in requests))
        script.write_text(_SCRIPT.format(file=json.dumps(str(listed))))
        flags = ["-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "60s", "-s", str(script), server.url]
        done = subprocess.run(["wrk", *flags], capture_output=True, text=True, check=False)
    found = re.search(r"^measured (\d+) (\d+) (\d+) (\d+) (\S+) (\S+)", done.stdout, re.MULTILINE)
    if not found:
        raise SystemExit(f"wrk failed: {done.stdout}{done.stderr}")
    count, microseconds, refused, broken = (int(part) for part in found.groups()[:4])
    if refused or broken:
        raise SystemExit(f"{server.name} refused {refused} requests and broke {broken} connections at {requests[0].path}")
    return count, microseconds / 1e6, float(found[5]), float(found[6])
