"""Where a request comes from: the peer, or, behind a proxy that is trusted, whom that proxy names."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNKNOWN = "unknown"
"""Stands for a peer without an address."""


_LONGEST_ADDRESS = 100
_LONGEST = 1024
"""Characters of a list of proxies that are read, from its end: anybody may have written what is longer."""


def address_of(text: str) -> Address | None:
    """Return the address in a text, which may have brackets and a port; an IPv4 address in IPv6 is an IPv4 address."""
    return _address(text) if len(text) <= _LONGEST_ADDRESS else None


@lru_cache(maxsize=10_000)
def _address(text: str) -> Address | None:
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def origin_of(peer: str, forwarded: str, trusted: tuple[Network, ...]) -> Address | None:
    """Return who sent a request that `peer` brought with this X-Forwarded-For.

    Each proxy adds at the end whom it heard from. So the list is read from there, for as long as trusted proxies speak; what
    stands before an address that is not trusted anybody may have written.
    """
    current = address_of(peer)
    for said in reversed(forwarded[-_LONGEST:].split(",")) if forwarded and trusted else ():
        if current is None or not within(current, trusted):
            break
        named = address_of(said)
        if named is None:
            break
        current = named
    return current


def within(address: Address, networks: Iterable[Network]) -> bool:
    """Say whether an address lies in one of the networks."""
    return any(address in network for network in networks)


@lru_cache(maxsize=10_000)
def household(address: Address | None) -> str:
    """Return what is counted in the place of an address: of IPv6 the first 64 bits, since whoever has one has them all."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return str(address) if address else UNKNOWN
