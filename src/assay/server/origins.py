"""Which web pages may use the API.

A browser names the page that makes a request in its Origin header. A page from anywhere could otherwise start processes on
this machine through a server on loopback: bodies are taken whatever their content type, so such a request needs no
preflight. Only pages of this machine may, those that a setting names, and on a server that listens for others its own pages.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Container, Iterable
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""What a page may send from anywhere: it changes nothing, and the browser keeps the answer from the page."""

_HEADERS = [
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"Content-Type, Authorization, X-Global-Transaction-Id, X-Tenant, X-User, Idempotency-Key, If-None-Match, Prefer",
    ),
    (
        b"access-control-expose-headers",
        b"X-Global-Transaction-Id, ETag, Retry-After, RateLimit, RateLimit-Policy, WWW-Authenticate",
    ),
    (b"access-control-max-age", b"3600"),
]


def permitted(origin: str, host: str, listening: str, allowed: Container[str] = ()) -> bool:
    """Say whether a page from `origin` may use a server that listens on `listening` and was addressed as `host`.

    `allowed` are the origins, in lower case, that may in any case.

    On loopback the address says nothing: a foreign name may be made to lead there.
    """
    try:
        parts = urlsplit(origin)
        name = parts.hostname or ""
    except ValueError:
        return False
    if origin.lower() in allowed:
        return True
    if parts.scheme not in ("http", "https") or not name:
        return False
    return is_loopback(name) or (parts.netloc == host and not is_loopback(listening))


def is_loopback(name: str) -> bool:
    """Say whether a host name or address is this machine's own."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def headers(origin: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Return the headers that let a page from `origin` read an answer."""
    return [(b"access-control-allow-origin", origin), (b"vary", b"Origin"), *_HEADERS]
