"""A real upstream over HTTP, and a clock that only moves when somebody sleeps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from assay.gateway import Credential, Gateway, ModelRoute, OpenRun, RequestLimits, RunRoute

CANARY = "sk-canary-7f3a9c51e2d84b06"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Received:
    """One request as the upstream saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Upstream:
    """An HTTP server whose answers a test chooses; it remembers every request."""

    handler: Handler
    port: int = 0
    received: list[Received] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{rest:.*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.method, request.raw_path, headers, body))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self.handler(request)
        finally:
            self.in_flight -= 1


class ManualClock:
    """Time passes only through sleep, which returns at once; `slept` lists every wait."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


class FullJitter(random.Random):
    """The longest jitter always, so that waits are known."""

    def uniform(self, a: float, b: float) -> float:
        return b


async def answer_ok(request: web.Request) -> web.StreamResponse:
    return web.json_response({"ok": True})


def answers(*responses: Callable[[], web.StreamResponse]) -> Handler:
    """Give these answers in turn; the last one for ever."""
    left = list(responses)

    async def handler(request: web.Request) -> web.StreamResponse:
        return (left.pop(0) if len(left) > 1 else left[0])()

    return handler


StartUpstream = Callable[[Handler], Awaitable[Upstream]]


def open_model(
    gateway: Gateway,
    url: str,
    *,
    limits: RequestLimits | None = None,
    credential: Credential | None = None,
    timeout_s: float = 300.0,
) -> OpenRun:
    """Open a run whose only route is the model at `url`, with the canary as its key."""
    credential = credential or Credential(CANARY, "canary")
    model = ModelRoute(url, credential, timeout_s=timeout_s)
    return gateway.open(RunRoute("run-1", 1, model=model, limits=limits or RequestLimits()))
