"""The users of a soak: each submits a job, watches it, sees that it ends as it must, reads all about it, and goes.

One user in several cancels, hangs up in the middle, asks for what is refused, or deletes the job for good.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websockets

from benchmarks.load import Ask, Connection
from benchmarks.seed import JOBS
from benchmarks.servers import Server

_ALL = "/api/v1/evaluations"
_PATIENCE_S = 120.0
"""With one user: a run without a report has a grace period of ten seconds, and others may be before it."""
_LONGEST = 1000
"""Characters of what went wrong."""
_ETAG = re.compile(rb"\netag: *(\S+)")
_ENDED = ("completed", "failed", "cancelled", "partially_failed")
_NOOP = f"exec bash {shlex.quote(str(Path(__file__).with_name('noop_adapter.sh')))}"
_COMMANDS = {
    "quiet": _NOOP,
    "loud": f"for n in $(seq 200); do echo line $n of what an adapter may say; done; {_NOOP}",
    "asking": f"export NOOP_ASKS=1; {_NOOP}",
    "failing": f"export NOOP_STATUS=failed; {_NOOP}",
    "mute": "echo It goes without a report.; exit 3",
    "slow": "echo It waits to be cancelled.; exec sleep 600",
}
"""Providers: what a run of each executes."""


@dataclass(frozen=True)
class Kind:
    """A kind of job: the provider of each of its benchmarks, the state that it ends in, and what its user does with it."""

    providers: tuple[str, ...]
    state: str = "completed"
    cancelled: str = ""
    """When the user cancels it: while it is `pending`, as no worker has its labels, or once it is `running`."""


WAITING = Kind(("loud", "quiet"), "cancelled", "pending")
_PLAIN = (Kind(("quiet", "loud")), Kind(("asking", "quiet", "quiet")), Kind(("loud",)))
KINDS = (
    *_PLAIN,
    Kind(("failing", "quiet"), "partially_failed"),
    *_PLAIN,
    WAITING,
    *_PLAIN,
    Kind(("slow",), "cancelled", "running"),
    *_PLAIN,
    Kind(("failing",), "failed"),
    *_PLAIN,
    Kind(("loud", "mute"), "partially_failed"),
)
"""Of the jobs, in turns."""
_REFUSED = (
    (400, Ask("POST", JOBS, '{"name":')),
    (404, Ask("POST", JOBS, json.dumps({"name": "n", "model": {"url": "http://127.0.0.1:9/v1", "name": "m"}, "benchmarks": [
        {"provider_id": "nobody", "id": "b"}]}))),
    (404, Ask("GET", f"{JOBS}/nowhere")),
    (400, Ask("GET", f"{JOBS}?limit=many")),
    (404, Ask("GET", "/api/v1/nothing")),
)  # fmt: skip


class Unexpected(Exception):
    """An answer or a state that should not have been."""


def write_catalogue(folder: Path) -> None:
    """Write the providers."""
    (folder / "providers").mkdir(parents=True)
    benchmarks = [{"id": f"b{n}", "name": f"b{n}", "category": "math"} for n in range(3)]
    for name, command in _COMMANDS.items():
        provider = {"id": name, "name": name, "benchmarks": benchmarks, "runtime": {"local": {"command": command}}}
        (folder / "providers" / f"{name}.yaml").write_text(json.dumps(provider))


def submission(name: str, kind: Kind, model_url: str, description: str = "") -> str:
    """Return the JSON of a job."""
    job: dict[str, Any] = {
        "name": name,
        "description": description,
        "tags": ["soak", f"t{name[-1]}"],
        "model": {"url": model_url, "name": "practice"},
        "benchmarks": [{"provider_id": provider, "id": f"b{n}"} for n, provider in enumerate(kind.providers)],
    }
    if kind.cancelled == "pending":
        job["resources"] = {"labels": {"site": "nowhere"}}
    return json.dumps(job)


class User:
    """User `number` of a server, with one job. `done` counts what users do."""

    def __init__(self, server: Server, model_url: str, number: int, done: Counter[str]) -> None:
        self._server, self._model_url, self._done = server, model_url, done
        self._kind = KINDS[number % len(KINDS)]
        self._turn = number + number // len(KINDS)
        self._name = f"soak-{number}"
        self._job = ""
        self._about = "submits"
        self._connection = Connection(server)

    async def visit(self) -> str:
        """Do everything; return what went wrong, empty if nothing did."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._submit()
                await self._see_it_end()
                await self._read()
                await self._leave()
        except Exception as error:  # whatever it is, it goes into the report
            causes = error.exceptions if isinstance(error, ExceptionGroup) else [error]
            said = "; ".join(f"{type(cause).__name__} {cause}" for cause in causes)
            return f"{self._name} ({'+'.join(self._kind.providers)}, {self._job}) {self._about}: {said}"[:_LONGEST]
        finally:
            self._connection.close()
        return ""

    async def _submit(self) -> None:
        request = Ask("POST", JOBS, submission(self._name, self._kind, self._model_url), (("Idempotency-Key", self._name),))
        job = await self._json(request, 202)
        if self._turn % 5 == 0 and (await self._json(request, 202))["resource"]["id"] != job["resource"]["id"]:
            raise Unexpected("the same submission has made another job")
        self._job = f"{JOBS}/{job['resource']['id']}"

    async def _see_it_end(self) -> None:
        self._about = "waits for the end"
        watch = (self._watch, self._watch_socket, self._follow_logs, self._hang_up)[self._turn % 4]
        async with asyncio.TaskGroup() as group:
            group.create_task(watch())
            if self._kind.cancelled:
                await self._until(self._kind.cancelled)
                await self._ask(Ask("DELETE", self._job), 204)
            status = await self._until(*_ENDED)
        if status["state"] != self._kind.state:
            raise Unexpected(f"{status} for {self._kind.state}")
        self._done["jobs"] += 1
        self._done["runs"] += len(self._kind.providers)

    async def _until(self, *states: str) -> dict[str, Any]:
        """Wait until the job is in one of these states; return its status."""
        headers: tuple[tuple[str, str], ...] = ()
        while True:
            status, body = await self._connection.ask(Ask("GET", self._job, headers=headers))
            self._done["requests"] += 1
            if status == 200 and (found := json.loads(body)["status"])["state"] in states:
                return dict(found)
            if status not in (200, 304) or not (tag := _ETAG.search(self._connection.head)):
                raise Unexpected(f"waiting for the job gave {status}: {body[:300]!r}")
            headers = (("If-None-Match", tag[1].decode()), ("Prefer", "wait=20"))

    async def _watch(self) -> None:
        await self._read_to_end(f"{self._job}/stream", b"event: end")

    async def _follow_logs(self) -> None:
        await self._read_to_end(f"{self._job}/benchmarks/0/logs?follow=true", b"")

    async def _read_to_end(self, path: str, last: bytes) -> None:
        """Read an answer that goes on, to its end, on a connection of its own; it must have `last` in it."""
        connection = Connection(self._server)
        try:
            if last not in (body := await self._ask(Ask("GET", path), 200, connection)):
                raise Unexpected(f"{path} ended so: {body[-300:]!r}")
        finally:
            connection.close()

    async def _watch_socket(self) -> None:
        last: str | bytes = ""
        address = f"ws://{self._server.host}:{self._server.port}{self._job}/stream"
        async with websockets.connect(address) as socket:
            async for message in socket:
                last = message
        if json.loads(last)["type"] != "end":
            raise Unexpected(f"the WebSocket ended so: {last!r}")

    async def _hang_up(self) -> None:
        """Begin to read what goes on, and hang up: at once, or in the middle."""
        wait = (("If-None-Match", '"1"'), ("Prefer", "wait=20"))
        for request, at in (
            (Ask("GET", self._job, headers=wait), b""),
            (Ask("GET", f"{_ALL}/stream"), b"retry"),
            (Ask("GET", f"{self._job}/stream"), b"job.created"),
            (Ask("GET", f"{self._job}/benchmarks/0/logs?follow=true"), b"HTTP"),
            (Ask("GET", f"{self._job}/benchmarks/0/logs?follow=true"), b"line 100"),
            (Ask("GET", f"{self._job}/stream"), b"run.running"),
        ):
            self._done["requests"] += 1
            await Connection(self._server).hang_up(request, at)

    async def _read(self) -> None:
        self._about = "reads"
        job, kind = self._job, self._kind
        await self._json(Ask("GET", job))
        await self._ask(Ask("GET", f"{job}/logs"), 200)
        await self._ask(Ask("GET", f"{job}/benchmarks/0/logs?tail_lines=10&timestamps=true"), 200)
        await self._json(Ask("GET", f"{job}/benchmarks/0/artifacts"))
        if f"job.{kind.state}" not in [event["type"] for event in await self._pages(f"{job}/history?limit=5")]:
            raise Unexpected("the history is without the end")
        for path in (f"{job}/results.csv", f"{_ALL}/results.csv?name={self._name}"):
            rows = (await self._ask(Ask("GET", path), 200)).splitlines()
            if len(rows) != 1 + len(kind.providers):
                raise Unexpected(f"{path} has {len(rows)} lines")
        self._about = "reads lists"
        if (await self._json(Ask("GET", f"{JOBS}?name={self._name}")))["total_count"] != 1:
            raise Unexpected("the job is not listed under its name")
        await self._pages(f"{JOBS}?limit=20&tags=soak,t{self._name[-1]}", 3)
        await self._pages(f"{JOBS}?limit=20&fields=summary&status={kind.state}", 3)
        for path in ("providers", f"providers/{kind.providers[0]}", "benchmarks?limit=10"):
            await self._json(Ask("GET", f"{_ALL}/{path}"))
        await self._json(Ask("GET", "/api/v1/queue"))

    async def _pages(self, path: str, most: int = 100) -> list[dict[str, Any]]:
        """Return the items of a list, `most` pages of it."""
        items: list[dict[str, Any]] = []
        for _ in range(most):
            page = await self._json(Ask("GET", path))
            items += page["items"]
            if "next" not in page:
                break
            path = page["next"]["href"]
        return items

    async def _leave(self) -> None:
        self._about = "is refused something"
        status, request = _REFUSED[self._turn % len(_REFUSED)]
        await self._ask(request, status)
        await self._ask(Ask("DELETE", self._job), 204 if self._kind.state == "cancelled" else 409)
        if self._turn % 3 == 0:
            self._about = "deletes"
            await self._ask(Ask("DELETE", f"{self._job}?hard_delete=true"), 204)
            await self._ask(Ask("GET", self._job), 404)
            self._done["deleted"] += 1

    async def _json(self, request: Ask, status: int = 200) -> Any:
        return json.loads(await self._ask(request, status))

    async def _ask(self, request: Ask, status: int, connection: Connection | None = None) -> bytes:
        """Send a request that must be answered with `status`; return the body. Raises Unexpected."""
        self._done["requests"] += 1
        found, body = await (connection or self._connection).ask(request)
        if found != status:
            raise Unexpected(f"{request.method} {request.path} gave {found}, not {status}: {body[:300]!r}")
        return body
