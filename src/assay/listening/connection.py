"""A plain connection: HTTP/1.1 on the event loop's own thread.

It is uvicorn's protocol, which reads, parses with llhttp, and hands WebSockets over, with the bounds that it lacks: of the
size of a head, of the time until it is there, and of what waits. A server with threads of its own hands each request over to
the loop, and waking a thread takes longer than all else that happens to a small request (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from assay.listening.eager import Habit, Wakeful
from assay.listening.exchange import Exchange, Whole

if TYPE_CHECKING:
    from assay.listening import Limits

_MOST_HEADERS = 100
_MOST_WAITING = 64
"""Most requests of one connection that wait for the answer to the one before."""
_CHUNK = 1 << 18
"""Bytes that the loop reads at a time."""
_LINGER_S = 1.0
"""How long what a client still sends is read, and let go, so that it gets to read why nobody wants it."""
_VERSIONS = ("1.1", "1.0")
_REQUEST_LINE = re.compile(rb"(?P<method>[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}) (?P<url>[!-~]+) HTTP/(?P<version>1\.[01])\r\n")
_ASGI = {"version": "3.0", "spec_version": "2.3"}
_EXTENSIONS: dict[str, dict[object, object]] = {"http.response.pathsend": {}}


class _TooLarge(Exception):
    """A head is larger than the limit says."""


class Connection(HttpToolsProtocol):
    """One of a plain door's connections."""

    def __init__(self, config: Config, state: ServerState, limits: Limits, wakeful: Wakeful) -> None:
        super().__init__(config, state, {})
        self._limits = limits
        self._habit = Habit(wakeful)
        self.at_once: Callable[[dict[str, Any]], Whole | None] | None = getattr(self.app, "at_once", None)
        """What the application may answer without a task: see `App.at_once`."""
        self._due = inf
        """When the next head must be there; never, while a request is being answered."""
        self._room = limits.head_bytes
        """What is left of the limit for the head that is being read."""
        self._in_head = True
        self._silent = 0
        """Bytes since there last was a body: of a head, of trailers, or of what belongs to chunks."""
        self.url = b""
        self.headers = []
        self._deaf = False
        """Whether what comes is of no interest any more."""
        self._unsent = 0
        self._running: Exchange | None = None
        """What is being answered."""
        self._newest: Exchange | None = None
        """Whose body is coming, if any is."""
        self._waiting: deque[Exchange] = deque()
        self.gone = self.loop.create_future()
        """Done when the connection is closed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._due = self.loop.time() + self._limits.idle_s
        self._clock = self.loop.call_at(self._due, self._watch)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clock.cancel()
        if self._running is not None:
            self._running.lose()
        self._waiting.clear()
        super().connection_lost(exc)
        self.gone.set_result(None)

    def shutdown(self) -> None:
        """Close the connection, or have it closed after the last answer that is owed."""
        if self._newest is not None and self._running is not None:
            self._newest.keep_alive = False
        else:
            self.transport.close()

    def _watch(self) -> None:
        """Close the connection when the next head is overdue; drop it, when it was closed and nobody reads the rest."""
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        if self.transport.is_closing():
            if unsent >= self._unsent > 0:
                self.transport.abort()
            self._unsent = unsent
        elif now >= self._due:
            self._unsent, self._due = unsent, inf
            self.transport.close()
        self._clock = self.loop.call_at(min(self._due, now + self._limits.idle_s), self._watch)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and have it answered. An error ends the connection, after the answers that are owed."""
        if self._deaf:
            return
        if self._running is None:
            self._habit.goes_on()
        self._silent += len(data)
        trouble: Exception | None = None
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            trouble = error
        if self._waiting:
            if self._running is None:
                self._answer()
            if self._waiting:
                self.flow.pause_reading()
        if trouble is not None:
            self._meet(trouble, data)
        elif self._silent > self._limits.head_bytes + _CHUNK:
            self._refuse(431)

    # What the parser finds. A base class with a method for the beginning of a message would have it called.
    on_message_begin = None  # type: ignore[assignment]

    def on_url(self, url: bytes) -> None:
        self.url += url
        self._room -= len(url)
        if self._room < 0:
            raise _TooLarge

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: nobody asked for any
        self._room -= len(name) + len(value) + 4
        if self._room < 0 or len(self.headers) == _MOST_HEADERS:
            raise _TooLarge
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self._in_head = False
        parser = self.parser
        if parser.should_upgrade():
            return  # see _upgrade
        version = parser.get_http_version()
        if version not in _VERSIONS or len(self._waiting) == _MOST_WAITING:
            raise ValueError
        keep_alive = version == "1.1" and parser.should_keep_alive()
        self._take(parser.get_method().decode("ascii"), version, keep_alive=keep_alive)

    def _take(self, method: str, version: str, *, keep_alive: bool) -> None:
        """Take a request whose head is there; it is answered in its turn."""
        url = httptools.parse_url(self.url)
        raw_path = url.path or b"/"
        path = raw_path.decode("ascii")
        scope = {
            "type": "http",
            "asgi": _ASGI,
            "extensions": _EXTENSIONS,
            "http_version": version,
            "method": method,
            "scheme": "http",
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": url.query or b"",
            "root_path": "",
            "headers": self.headers,
            "server": self.server,
            "client": self.client,
        }
        self._newest = Exchange(self, scope, self.expect_100_continue, keep_alive)
        self._waiting.append(self._newest)

    def on_body(self, body: bytes) -> None:
        self._silent = 0
        exchange = self._newest
        if exchange is None or exchange.answered:
            return
        exchange.body += body
        if len(exchange.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        exchange.tell()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade() and self._newest is not None:
            self._newest.more_body = False
            self._newest.tell()
            self._expect_head()

    def _expect_head(self) -> None:
        self._in_head, self._room, self._silent = True, self._limits.head_bytes, 0
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def _answer(self) -> None:
        """Have the requests answered that wait, one after another."""
        while self._waiting:
            self._due = inf
            exchange = self._running = self._waiting.popleft()
            if not exchange.start() or not self._ended(exchange):
                return

    def go_on(self, exchange: Exchange) -> None:
        """Go on after an answer."""
        if self._ended(exchange):
            self._answer()

    def _ended(self, exchange: Exchange) -> bool:
        """Note the end of an answer. Return whether the connection goes on after it."""
        self._running = None
        if not exchange.keep_alive:
            self._hang_up(still_sending=exchange.more_body)
        elif not self.transport.is_closing():
            self._due = self.loop.time() + self._limits.idle_s
            self.flow.resume_reading()
            if not self._waiting:
                self._habit.answered()
            return True
        return False

    def _meet(self, trouble: Exception, data: bytes) -> None:
        """Take what the parser could not go on with."""
        if isinstance(trouble, httptools.HttpParserUpgrade):
            self._upgrade(data[trouble.args[0] :])
        elif isinstance(trouble, httptools.HttpParserInvalidMethodError):
            self._take_unknown_method(data)
        else:
            self._refuse(431 if isinstance(trouble.__context__, _TooLarge) else 400)

    def _upgrade(self, rest: bytes) -> None:
        """Take a request to speak another protocol, after which `rest` came."""
        parser = self.parser
        method = parser.get_method()
        if method == b"CONNECT" or (self._should_upgrade() and self._running is not None):
            self._refuse(400)
        elif self._should_upgrade():
            self.scope = {"method": method.decode("ascii"), "headers": self.headers}  # type: ignore[typeddict-item]
            self._clock.cancel()
            self.handle_websocket_upgrade()
        else:
            # Not one that is offered: Java's client asks for HTTP/2 in this way, with its first request whatever that is.
            # llhttp takes no body of such a request, so it is read again without the wish.
            wanted = b"".join([b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"])
            head = b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, parser.get_http_version().encode(), wanted)
            self.parser = _parser(self)
            self._expect_head()
            self.data_received(head + rest)

    def _take_unknown_method(self, data: bytes) -> None:
        """Take a request with a method that llhttp has not heard of: the application refuses it in its own words.

        Nothing but its first line is looked at, and nothing after it. Where `data` is not the beginning of a request, at
        worst something is refused that is none.
        """
        line = _REQUEST_LINE.match(data)
        if line is None or self._running is not None or _is_known(line["method"]):
            self._refuse(400)
            return
        self._deaf = True
        self.url, self.headers = line["url"], []
        try:
            self._take(line["method"].decode("ascii"), line["version"].decode("ascii"), keep_alive=False)
        except httptools.HttpParserInvalidURLError:
            self._refuse(400)
            return
        self._answer()

    def _refuse(self, status: int) -> None:
        """Read no more of what cannot be understood. Say so, once the requests before it have been answered."""
        self._deaf = True
        newest = self._newest
        if self._running is not None and newest is not None:
            if not newest.more_body:
                newest.keep_alive = False
                return
            self._running.lose()  # it is about the request's own body
            if self._running.begun or self._waiting:
                self.transport.close()
                return
        self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self._hang_up(still_sending=True)

    def _hang_up(self, *, still_sending: bool) -> None:
        """Close the connection. To close it on bytes that nobody has read would take back what was answered."""
        self._deaf, self._due = True, inf
        if not still_sending or self.transport.is_closing():
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(_LINGER_S, self.transport.close)


def _parser(connection: Connection) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(connection)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
    return parser


def _is_known(method: bytes) -> bool:
    try:
        httptools.HttpRequestParser(None).feed_data(method + b" ")
    except httptools.HttpParserInvalidMethodError:
        return False
    return True
