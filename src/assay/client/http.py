"""HTTP over the standard library: one kept connection a thread, errors as sentences.

`http.client` and nothing else, because it loads in a tenth of the time of an HTTP library, and `assay jobs
list` should feel like `ls`.
"""

from __future__ import annotations

import http.client
import json as json_
import select
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from assay.client.errors import ServerError, TimedOut, Unreachable

Query = Mapping[str, str | int | float | bool | None]
Body = bytes | Iterable[bytes]

REMEDY: Final = "Start the server with `assay serve`, or name the right one with --server or ASSAY_SERVER."
_REPEATABLE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_BROKEN: Final = (http.client.HTTPException, OSError)
_CHUNK: Final = 1 << 16


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
        """Send a request and return its answer (below 400; 304 included). `path` is below the base URL,
        percent-encoded.

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
            try:
                answer = self._send(connection, method, self._target(path, query), None, self._headers | dict(headers or {}))
                received = _lower(answer)
                if answer.status >= 400:
                    raise _refusal(answer.status, received, answer.read())
            except TimeoutError:
                raise TimedOut(self.base_url, wait) from None
            except _BROKEN as error:
                raise Unreachable(self.base_url, _reason(error), self._remedy) from error
            if connection.sock is not None:
                connection.sock.settimeout(timeout_s)
            yield Stream(answer.status, received, self._pieces(answer, timeout_s))
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

    def _kept(self) -> http.client.HTTPConnection | None:
        """Return this thread's connection if the server has not closed it: a closed one is readable, an idle
        one is not.
        """
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None or connection.sock is None:
            return None
        poll = select.poll()
        poll.register(connection.sock, select.POLLIN)
        if poll.poll(0):
            self.close()
            return None
        return connection

    def _connect(self, wait: float) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        connection: http.client.HTTPConnection
        if self._parts.scheme == "https":
            import ssl

            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=wait, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=wait)
        try:
            connection.connect()
        except (OSError, UnicodeError) as error:
            connection.close()
            raise Unreachable(self.base_url, _reason(error), self._remedy) from error
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: Body | None,
        headers: Mapping[str, str],
        wait: float,
    ) -> Answer:
        connection.sock.settimeout(wait)
        whole = False
        try:
            answer = self._send(connection, method, target, body, headers)
            content = answer.read()
            whole = True
        except TimeoutError:
            raise TimedOut(self.base_url, wait) from None
        except _BROKEN as error:
            raise Unreachable(self.base_url, _reason(error), self._remedy) from error
        finally:
            if not whole:  # an interrupt included: half an answer must not be taken for the next one
                self.close()
        received = _lower(answer)
        if answer.status >= 400:
            raise _refusal(answer.status, received, content)
        return Answer(answer.status, received, content)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: Body | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        try:
            connection.request(method, target, body=body, headers=dict(headers))
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses a body early (413) answers before it has read everything.
            return connection.getresponse()
        return connection.getresponse()

    def _pieces(self, answer: http.client.HTTPResponse, wait: float | None) -> Iterator[bytes]:
        try:
            while chunk := answer.read1(_CHUNK):
                yield chunk
        except TimeoutError:
            raise TimedOut(self.base_url, wait or 0.0) from None
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
    return parts


def _header_safe(name: str, value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"The value for {name} has characters that a header cannot carry (line ends, or not ASCII)")
    return value


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lower(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.getheaders()}


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "the connection timed out"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "the name of its host is not known"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return "it closed the connection without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "it broke off in the middle of its answer"
    if isinstance(error, http.client.HTTPException):
        return "what answers there does not speak HTTP"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _parsed(status: int, body: bytes) -> Any:
    try:
        return json_.loads(body)
    except ValueError:
        raise ServerError(status, "not_json", "What answers there is not an Assay server: no JSON came back.") from None


def _refusal(status: int, headers: Mapping[str, str], body: bytes) -> ServerError:
    """Return the ServerError of an error body of the EvalHub contract, or of whatever a proxy may have sent
    instead.
    """
    after = headers.get("retry-after", "")
    retry_after = float(after) if after.isdigit() else None
    try:
        told = json_.loads(body)
        return ServerError(status, str(told["message_code"]), str(told["message"]), str(told.get("trace", "")), retry_after)
    except (ValueError, KeyError, TypeError, AttributeError):
        said = body[:300].decode(errors="replace").strip()
        text = said.splitlines()[0] if said and "<" not in said else http.client.responses.get(status, "")
        return ServerError(
            status,
            "http_error",
            f"The server answered {status}: {text or 'no reason given'}",
            "",
            retry_after,
        )
