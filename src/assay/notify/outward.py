"""Where a webhook may lead: outwards, and to networks that the settings name.

What a URL leads to is known only when its name is resolved, and a name can be resolved anew at any time (DNS rebinding). So
it is checked twice: when a webhook is made, for the user's sake, and at every connection, which goes to the very address
that was checked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from assay.model.addresses import Address, Network, leads_outward, plain

_THREADS = 16
_PATIENCE_S = 5.0


class AddressRefused(OSError):
    """An address to which no webhook may lead."""


class NotResolved(OSError):
    """A name that has no address at the moment."""


class OutwardResolver(AbstractResolver):
    """Resolves names, and refuses those that lead to an inner address that is not in one of the `allowed` networks.

    Its threads are its own: a name server that hangs makes nobody else wait.
    """

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = tuple(allowed)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="assay-resolve")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of `host`. Raises AddressRefused if one of them is refused, NotResolved if there is none."""
        loop = asyncio.get_running_loop()

        def ask() -> list[tuple[socket.AddressFamily, int, int, str, tuple[str, int] | tuple[str, int, int, int]]]:
            return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)  # type: ignore[return-value]

        try:
            async with asyncio.timeout(_PATIENCE_S):
                found = await loop.run_in_executor(self._threads, ask)
        except (OSError, UnicodeError, TimeoutError):
            raise NotResolved(f"the host name {host} does not resolve") from None
        results = []
        for kind, _, protocol, _, sockaddr in found:
            address = str(sockaddr[0])
            self.check(address)
            results.append(
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        if not results:
            raise NotResolved(f"the host name {host} does not resolve")
        return results

    async def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def check(self, address: str) -> None:
        """Raise AddressRefused for the text of an address to which no webhook may lead."""
        scoped, _, zone = address.partition("%")
        parsed = plain(ipaddress.ip_address(scoped))
        if not self._is_allowed(parsed) and (zone or not leads_outward(parsed)):
            raise AddressRefused(
                f"the address {address} is an inner one, which webhooks may not lead to unless webhook_networks allows it"
            )

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self._allowed)

    async def check_url(self, url: str) -> None:
        """Check what a URL leads to at this moment. Raises AddressRefused, NotResolved."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not self.check_literal(host):
            await self.resolve(host, parts.port or 0)

    def check_literal(self, host: str) -> bool:
        """Say whether a host is an address, which no resolver is asked for. Raises AddressRefused."""
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        self.check(host)
        return True
