"""The answer that goes on: live events as server-sent events or over WebSocket, until they end or the reader goes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from assay.server.streams.feeds import Feed
from assay.server.streams.frames import Batch
from assay.server.streams.hub import Streams
from assay.server.streams.watcher import Watcher

_RETRY_MS = 1000
"""How long a browser waits before it connects again."""

_LAST_WORDS_S = 1.0

GOING_AWAY, TRY_AGAIN, UNWANTED, DONE = 1001, 1013, 1003, 1000
"""Why a WebSocket is closed (RFC 6455, 7.4.1)."""


class Transport(Protocol):
    """How batches are sent."""

    async def begin(self, after: int) -> None: ...
    async def send(self, batch: Batch) -> None: ...
    async def end(self, code: int) -> None: ...
    async def gone(self) -> None:
        """Wait until the reader has gone."""
        ...


class LiveAnswer(Response):
    """Tells a watcher of `feed` everything after the event `after`; without `follow` only what is there already.

    Made once the caller has been counted by `streams.enter`.
    """

    def __init__(self, streams: Streams, feed: Feed, after: int, *, follow: bool = True) -> None:
        self._streams, self._feed, self._after, self._follow = streams, feed, after, follow
        self.status_code, self.background = 200, None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or a WebSocket."""
        over: Transport = WebSocket(receive, send) if scope["type"] == "websocket" else ServerSentEvents(receive, send)
        watcher = Watcher(self._after)
        try:
            await over.begin(self._after)
            leaving = asyncio.ensure_future(over.gone())
            leaving.add_done_callback(lambda _: watcher.leave())
            try:
                code = await self._tell(watcher, over)
            finally:
                leaving.cancel()
            await over.end(code)
        except asyncio.CancelledError:
            if not watcher.slow:
                raise
            _continue()
        finally:
            self._feed.leave(watcher)
            self._streams.leave()

    async def _tell(self, watcher: Watcher, over: Transport) -> int:
        """Send everything; return why it is over."""
        if await self._catch_up(watcher, over):
            return DONE
        if not self._follow:
            return DONE
        if watcher.position < self._feed.join(watcher) and await self._catch_up(watcher, over):
            return DONE
        standing = self._feed.standing()
        if standing is not None:
            await over.send(standing)
        while (batch := await watcher.take()) is not None:
            await over.send(batch)
            if batch.final:
                return DONE
        return TRY_AGAIN if watcher.slow else GOING_AWAY

    async def _catch_up(self, watcher: Watcher, over: Transport) -> bool:
        """Send the history from where the watcher is; True where the stream ends with it."""
        more = True
        while more:
            page = await self._feed.page(watcher.position)
            told = [*page.frames, page.end] if page.end else page.frames
            if told:
                await over.send(Batch(told))
            watcher.position, more = page.position, page.more
            if page.end:
                return True
        return False


class ServerSentEvents:
    """Events as `text/event-stream` (HTML standard, 9.2)."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send

    async def begin(self, after: int) -> None:
        """Send the head, and where the stream begins: who loses it before the first event goes on from there."""
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._body(b"retry: %d\nid: %d\n\n" % (_RETRY_MS, after))

    async def send(self, batch: Batch) -> None:
        """Send a batch as one piece."""
        await self._body(batch.sse)

    async def end(self, code: int) -> None:
        """End the body."""
        if code != TRY_AGAIN:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def gone(self) -> None:
        """Wait until the connection is closed."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _body(self, piece: bytes) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})


class WebSocket:
    """Events as messages of text, one each."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._closed = False

    async def begin(self, after: int) -> None:
        """Shake hands."""
        await accept(self._receive, self._send)

    async def send(self, batch: Batch) -> None:
        """Send the messages of a batch."""
        for text in batch.texts:
            await self._send({"type": "websocket.send", "text": text})

    async def end(self, code: int) -> None:
        """Say why, and close."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(Exception):  # gone meanwhile
                await self._send({"type": "websocket.close", "code": code})

    async def gone(self) -> None:
        """Wait until the connection is closed; somebody who has something to say is not understood."""
        try:
            if (await self._receive())["type"] != "websocket.disconnect":
                await self.end(UNWANTED)
        except RuntimeError:
            pass
        self._closed = True


async def accept(receive: Receive, send: Send) -> None:
    """Accept a WebSocket."""
    await receive()
    await send({"type": "websocket.accept"})


class Refusal(Response):
    """An answer that refuses, to somebody who wants to open a WebSocket.

    It is opened only to say what is wrong, and closed: a browser shows its page no status of the handshake, but this.
    `unheard`: a page that is not to be spoken to at all.
    """

    def __init__(self, refused: Response, *, unheard: bool) -> None:
        self._refused, self._unheard = refused, unheard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say it."""
        if self._unheard:
            await receive()
            await send({"type": "websocket.close", "code": 4403})
            return
        await accept(receive, send)
        await _refuse(self._refused, send)


async def turn_out(last: Response | bytes, send: Send) -> None:
    """Say to a reader in the middle of an answer why it gets no more, and end it: over a WebSocket with a refusal, else with
    the last bytes. The reader may be gone, or have stopped to read."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_LAST_WORDS_S):
            if isinstance(last, Response):
                await _refuse(last, send)
            else:
                await send({"type": "http.response.body", "body": last, "more_body": False})


async def _refuse(refused: Response, send: Send) -> None:
    text = bytes(refused.body).decode()
    if text:
        await send({"type": "websocket.send", "text": text})
    await send({"type": "websocket.close", "code": 4000 + refused.status_code})


def _continue() -> None:
    """Take back the cancellation of this task: the watcher was cut off, and that is all."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
