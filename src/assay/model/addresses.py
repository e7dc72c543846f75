"""Which network addresses lead outwards, in every form that an address may hide in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_EMBEDDING: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::ffff:0:0:0/96")))
"""Networks whose last 32 bits are the IPv4 address that translators lead to: NAT64, and SIIT's IPv4-translated ones."""
_INNER: Final = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.0.0.0/24", "64:ff9b:1::/48", "fec0::/10")))
"""Inner networks beyond those that Python knows: what Azure answers from inside the machine, protocol assignments (Oracle's
metadata), local NAT64, site-local addresses."""


def leads_outward(address: Address) -> bool:
    """Say whether an address is one of the public network: neither loopback, link-local, private, shared, reserved nor
    multicast, nor an IPv6 form of such a one.
    """
    return all(map(_is_outer, (address, *_within(address))))


def _is_outer(address: Address) -> bool:
    return address.is_global and not address.is_multicast and not any(address in inner for inner in _INNER)


def plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv4-mapped one stands for; any other as it is."""
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address


def _within(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address leads to: compatible or mapped, through 6to4, Teredo or NAT64."""
    if isinstance(address, ipaddress.IPv6Address):
        yield from filter(None, (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())))
        if int(address) <= 0xFFFFFFFF or any(address in network for network in _EMBEDDING):
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
