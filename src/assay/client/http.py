"""HTTP over the standard library: one kept connection a thread, errors as sentences.

Nothing is loaded that is not needed, because `assay jobs list` should feel like `ls`: an HTTP library takes ten times as
long.
"""

from __future__ import annotations

import json as json_
import select
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from assay.client.connection import Body, Connection, Cut, NotHttp, Reply
from assay.client.errors import ServerError, TimedOut, Unreachable

Query = Mapping[str, str | int | float | bool | None]

REMEDY: Final = "Start the server with `assay serve`, or name the right one with --server or ASSAY_SERVER."
_ELSEWHERE: Final = "If that is a server, name it with --server or ASSAY_SERVER."
_REPEATABLE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_BROKEN: Final = (NotHttp, Cut, OSError)


@dataclass(frozen=True)
class Answer:
    """A whole answer. Names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the body as JSON; raise ServerError if it is none."""
        return _parsed(self.status, self.body)


@dataclass(frozen=True)
class Stream:
    """An answer whose body arrives piece by piece; `chunks` yields what has arrived, without waiting to fill
    a buffer.
    """

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes] = field(repr=False)


class Http:
    """Requests to one server. May be shared between threads: each has a connection of its own, which is kept
    open.

    `key` is sent as a bearer token, `tenant` and `user` as the headers of the EvalHub contract. `remedy`
    ends the sentence of Unreachable. Raises ValueError for a URL that is not http or https.
    """

    def __init__(
        self,
        base_url: str,
        *,
        key: str | None = None,
        tenant: str | None = None,
        user: str | None = None,
        timeout_s: float = 30.0,
        remedy: str = REMEDY,
    ) -> None:
        self._parts = _checked(base_url)
        self._prefix = self._parts.path.rstrip("/")
        self.base_url = f"{self._parts.scheme}://{self._parts.netloc}{self._prefix}"
        self.timeout_s, self._remedy = timeout_s, remedy
        self._headers = {"Accept": "application/json", "User-Agent": "assay"}
        optional = {"Authorization": key and f"Bearer {key}", "X-Tenant": tenant, "X-User": user}
        for name, value in optional.items():
            if value:
                self._headers[name] = _header_safe(name, value)
        self._local = threading.local()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        json: Any = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send a request and return its answer (2xx or 304). `path` is below the base URL, percent-encoded.

        A kept connection that the server has closed meanwhile is replaced, and a request that may be
        repeated (by its method, or by an `Idempotency-Key`) is sent once more. `timeout_s` bounds each wait
        for the server, in seconds. Raises ServerError, Unreachable and TimedOut.
        """
        sending = self._headers | dict(headers or {})
        if json is not None:
            body = json_.dumps(json, separators=(",", ":"), ensure_ascii=False).encode()
            sending.setdefault("Content-Type", "application/json")
        wait = self.timeout_s if timeout_s is None else timeout_s
        target = self._target(path, query)
        repeatable = (method in _REPEATABLE or "Idempotency-Key" in sending) and (body is None or isinstance(body, bytes))
        kept = self._kept()
        if kept is not None:
            try:
                return self._exchange(kept, method, target, body, sending, wait)
            except Unreachable:
                if not repeatable:
                    raise
        fresh = self._connect(wait)
        self._local.connection = fresh
        return self._exchange(fresh, method, target, body, sending, wait)

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[Stream]:
        """Send a request on a connection of its own and give its answer piece by piece.

        `timeout_s` bounds the silence between two pieces; None waits as long as the connection stands.
        Raises as `request`, also while the pieces are read.
        """
        wait = self.timeout_s if timeout_s is None else timeout_s
        connection = self._connect(wait)
        try:
            with self._in_words(wait):
                reply = connection.ask(method, self._target(path, query), self._headers | dict(headers or {}), None)
                if not _succeeded(reply.status):
                    raise _refusal(reply.status, reply.headers, b"".join(reply.pieces))
            connection.socket.settimeout(timeout_s)
            yield Stream(reply.status, reply.headers, self._pieces(reply, timeout_s or 0.0))
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connection of this thread."""
        connection = getattr(self._local, "connection", None)
        self._local.connection = None
        if connection is not None:
            connection.close()

    def _target(self, path: str, query: Query | None) -> str:
        given = {name: _text(value) for name, value in (query or {}).items() if value is not None}
        return self._prefix + path + (f"?{urlencode(given, quote_via=quote)}" if given else "")

    def _kept(self) -> Connection | None:
        """Return this thread's connection if the server has not closed it: a closed one is readable, an idle
        one is not.
        """
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None or not connection.open:
            return None
        poll = select.poll()
        poll.register(connection.socket, select.POLLIN)
        if poll.poll(0):
            self.close()
            return None
        return connection

    def _connect(self, wait: float) -> Connection:
        try:
            return Connection(self._parts, wait)
        except (OSError, ValueError) as error:
            raise Unreachable(self.base_url, _reason(error), self._remedy) from error

    def _exchange(
        self,
        connection: Connection,
        method: str,
        target: str,
        body: Body | None,
        headers: Mapping[str, str],
        wait: float,
    ) -> Answer:
        connection.socket.settimeout(wait)
        whole = False
        try:
            with self._in_words(wait):
                reply = connection.ask(method, target, headers, body)
                content = b"".join(reply.pieces)
            whole = True
        finally:
            if not whole:  # an interrupt included: half an answer must not be taken for the next one
                self.close()
        if not _succeeded(reply.status):
            raise _refusal(reply.status, reply.headers, content)
        return Answer(reply.status, reply.headers, content)

    def _pieces(self, reply: Reply, wait: float) -> Iterator[bytes]:
        with self._in_words(wait):
            yield from reply.pieces

    @contextmanager
    def _in_words(self, wait: float) -> Iterator[None]:
        """Raise TimedOut and Unreachable for what goes wrong with a connection."""
        try:
            yield
        except TimeoutError:
            raise TimedOut(self.base_url, wait) from None
        except _BROKEN as error:
            raise Unreachable(self.base_url, _reason(error), self._remedy) from error


def _checked(url: str) -> SplitResult:
    parts = urlsplit(url)
    port: int | None = None
    try:
        port = parts.port
    except ValueError:
        parts = parts._replace(netloc="")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"'{url}' is not the URL of a server: it looks like http://127.0.0.1:8080")
    if parts.username is not None or parts.password is not None:
        raise ValueError("The URL of the server must not hold a user name or password: give the key by ASSAY_API_KEY")
    if not (parts.path.isascii() and parts.path.isprintable()) or " " in parts.path:
        raise ValueError(f"The path of '{url}' has characters that no URL carries as they are: they must be percent-encoded")
    return parts


def _header_safe(name: str, value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"The value for {name} has characters that a header cannot carry (line ends, or not ASCII)")
    return value


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "the connection timed out"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, socket.gaierror) or not isinstance(error, OSError | NotHttp | Cut):
        return "the name of its host is not known"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "it closed the connection without an answer"
    if isinstance(error, Cut):
        return "it broke off in the middle of its answer"
    if isinstance(error, NotHttp):
        return "what answers there does not speak HTTP"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _parsed(status: int, body: bytes) -> Any:
    try:
        return json_.loads(body)
    except ValueError:
        raise ServerError(status, "not_json", "What answers there is not an Assay server: no JSON came back.") from None


def _succeeded(status: int) -> bool:
    """Say whether a request was carried out, or its answer is known already. A redirection is neither."""
    return status < 300 or status == 304


def _refusal(status: int, headers: Mapping[str, str], body: bytes) -> ServerError:
    """Return the ServerError of an error body of the EvalHub contract, or of whatever a proxy may have sent
    instead.
    """
    if status < 400:
        to = headers.get("location", "nowhere")[:200]
        return ServerError(
            status, "redirected", f"The server answered {status} and sends to {to}: nothing was done. {_ELSEWHERE}"
        )
    after = headers.get("retry-after", "")
    retry_after = float(after) if after.isdigit() else None
    try:
        told = json_.loads(body)
        return ServerError(status, str(told["message_code"]), str(told["message"]), str(told.get("trace", "")), retry_after)
    except (ValueError, KeyError, TypeError, AttributeError):
        said = body[:300].decode(errors="replace").strip()
        text = said.splitlines()[0] if said and "<" not in said else _phrase(status)
        return ServerError(
            status,
            "http_error",
            f"The server answered {status}: {text or 'no reason given'}",
            "",
            retry_after,
        )


def _phrase(status: int) -> str:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
