"""One POST of a notice: bounded in time and size, following no redirects."""

from __future__ import annotations

import re
from collections.abc import Mapping

import aiohttp
from yarl import URL

from assay import __version__
from assay.gateway.transport import describe
from assay.notify.outward import AddressRefused, NotResolved, OutwardResolver

_LARGEST_ANSWER = 64 << 10
_GONE = 410


class Undelivered(Exception):
    """A notice did not arrive; the text says why. `status` is that of the answer, 0 for none; `lasting`: the next attempt
    would fail too; `retry_after_s` is what the receiver asked for.
    """

    def __init__(self, text: str, status: int = 0, *, lasting: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(text)
        self.status, self.lasting, self.retry_after_s = status, lasting, retry_after_s


class Poster:
    """Posts notices. With a resolver only to addresses that it lets pass; without one to wherever the settings say."""

    def __init__(self, timeout_s: float, resolver: OutwardResolver | None = None) -> None:
        self._timeout_s, self._resolver = timeout_s, resolver
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send a notice; return the status of the answer, one of 2xx. Raises Undelivered."""
        try:
            target = URL(url)
            if self._resolver is not None:
                self._resolver.check_literal(target.host or "")
            async with self._opened().post(
                target, data=body, headers={"User-Agent": f"assay/{__version__}", **headers}, allow_redirects=False
            ) as answer:
                await _drain(answer)
                status, retry_after = answer.status, answer.headers.get("Retry-After", "")
        except (AddressRefused, NotResolved) as error:
            raise Undelivered(str(error)) from None
        except aiohttp.ClientConnectorDNSError as error:
            inner = error.os_error
            text = str(inner) if isinstance(inner, AddressRefused | NotResolved) else describe(error, self._timeout_s)[0]
            raise Undelivered(text) from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Undelivered(describe(error, self._timeout_s)[0]) from None
        if 200 <= status < 300:
            return status
        if 300 <= status < 400:
            raise Undelivered(f"the receiver answered {status}: redirects are not followed", status)
        wait_s = float(retry_after) if re.fullmatch(r"\d{1,6}", retry_after) else 0.0
        raise Undelivered(f"the receiver answered {status}", status, lasting=status == _GONE, retry_after_s=wait_s)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = (
                aiohttp.TCPConnector(limit=0, use_dns_cache=False, resolver=self._resolver)
                if self._resolver is not None
                else aiohttp.TCPConnector(limit=0)
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            )
        return self._session


async def _drain(answer: aiohttp.ClientResponse) -> None:
    """Read a short answer to its end, so that the connection can be used again; leave a long one."""
    size = 0
    async for piece in answer.content.iter_any():
        size += len(piece)
        if size > _LARGEST_ANSWER:
            answer.close()
            return
