"""Calls to a system outside: no redirects, answers of bounded size, and failures in words that hold no secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import aiohttp
from aiohttp import hdrs
from yarl import URL

from assay.gateway.errors import RouteError
from assay.gateway.routes import origin_of
from assay.gateway.transport import CONNECT_TIMEOUT_S, describe, open_session, tls_setting

_LARGEST_ANSWER = 8 << 20


class RemoteFailed(Exception):
    """A call that came to nothing; the text says why, for the user. `lasting`: the same call would fail again."""

    def __init__(self, text: str, *, lasting: bool = False) -> None:
        super().__init__(text)
        self.lasting = lasting


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Remote:
    """Connections to one system, which texts call `what`. Use as a context manager."""

    def __init__(self, what: str, *, ca_cert: Path | None, timeout_s: float) -> None:
        self._what, self._ca_cert, self._timeout_s = what, ca_cert, timeout_s

    async def __aenter__(self) -> Remote:
        try:
            self._tls = tls_setting(True, self._ca_cert)
        except RouteError as error:
            raise RemoteFailed(str(error)) from None
        self._session = open_session()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(
        self, method: str, url: URL, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Return the answer, whatever its status; that of a HEAD may be a redirect. Raises RemoteFailed."""
        what = f"{self._what} at {url.origin()}"
        try:
            async with self._session.request(
                method,
                url,
                headers=headers,
                data=body,
                allow_redirects=False,
                ssl=self._tls,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=self._timeout_s),
            ) as received:
                if received.status in range(300, 400) and hdrs.LOCATION in received.headers and method != hdrs.METH_HEAD:
                    raise _redirected(what, received)
                answer = await received.content.read(_LARGEST_ANSWER + 1)
                while len(answer) <= _LARGEST_ANSWER and (more := await received.content.read(_LARGEST_ANSWER)):
                    answer += more
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            cause, _ = describe(error, self._timeout_s)
            raise RemoteFailed(f"{what} did not answer: {cause}") from None
        if len(answer) > _LARGEST_ANSWER:
            raise RemoteFailed(f"{what} answered with more than {_LARGEST_ANSWER} bytes")
        return Answer(received.status, received.headers, answer)


def _redirected(what: str, received: aiohttp.ClientResponse) -> RemoteFailed:
    try:
        target = origin_of(str(received.url.join(URL(received.headers[hdrs.LOCATION]))))
    except (RouteError, ValueError):
        target = "an unusable address"
    return RemoteFailed(f"{what} redirects to {target}, which is not followed; if that address is right, use it instead")
