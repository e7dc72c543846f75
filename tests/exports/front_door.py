"""A reverse proxy that checks tokens, as one stands before an MLflow server or a registry in life.

It can also be shut (503), or be told to send people elsewhere; and it remembers what passed.
"""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

_HOP = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "content-encoding"})
_READY_S = 30.0


@dataclass(frozen=True)
class Passed:
    """A request that came to the door. Names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    status: int


@dataclass
class FrontDoor:
    """The door before `target`. Empty `token`: everybody may pass."""

    target: str
    token: str = ""
    login: str = ""
    """`user:password` for which `/token` gives the token, as a registry's token server does; empty: there is none."""
    shut: bool = False
    elsewhere: str = ""
    seen: list[Passed] = field(default_factory=list)
    url: str = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        answer = await self._answer(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Passed(request.method, request.path_qs, headers, answer.status))
        return answer

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.shut:
            return web.Response(status=503, text="closed")
        if self.elsewhere:
            return web.Response(status=307, headers={"Location": self.elsewhere + request.path_qs})
        given = request.headers.get("Authorization", "")
        if self.login and request.path == "/token":
            known = given == "Basic " + base64.b64encode(self.login.encode()).decode()
            return web.json_response({"token": self.token}) if known else web.Response(status=401)
        if self.token and given != f"Bearer {self.token}":
            challenge = {"WWW-Authenticate": f'Bearer realm="{self.url}/token",service="door"'} if self.login else {}
            return web.Response(status=401, headers=challenge)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP | {"authorization"}}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                self.target + request.raw_path,
                headers=headers,
                data=await request.read(),
                allow_redirects=False,
            ) as received,
        ):
            kept = {name: value for name, value in received.headers.items() if name.lower() not in _HOP}
            if "Location" in kept:
                kept["Location"] = kept["Location"].replace(self.target, self.url)
            return web.Response(status=received.status, headers=kept, body=await received.read())


@contextmanager
def front_door(target: str, token: str = "", login: str = "") -> Iterator[FrontDoor]:
    """Open a door before `target` for the length of the block."""
    door = FrontDoor(target, token, login)
    opened, closing = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def keep() -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{rest:.*}", door.serve)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        door.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        opened.set()
        await closing.wait()
        await runner.cleanup()

    thread = threading.Thread(target=_run, args=(loop, keep), daemon=True)
    thread.start()
    assert opened.wait(_READY_S)
    try:
        yield door
    finally:
        loop.call_soon_threadsafe(closing.set)
        thread.join()
        loop.close()


def _run(loop: asyncio.AbstractEventLoop, keep: Callable[[], object]) -> None:
    loop.run_until_complete(keep())  # type: ignore[arg-type]
