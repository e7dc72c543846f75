"""The gateway's way out: one connection pool, TLS settings, and failures in plain words."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp

from assay.gateway.errors import RouteError

CONNECT_TIMEOUT_S = 10.0


def open_session() -> aiohttp.ClientSession:
    """A client without cookies, redirects of its own accord, environment proxies or .netrc."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, keepalive_timeout=20),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
    )


def tls_setting(verify: bool, ca_cert: Path | None) -> ssl.SSLContext | bool:
    """What aiohttp calls `ssl`. Raises RouteError when the CA file cannot be used."""
    if not verify:
        return False
    if ca_cert is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_cert))
    except (OSError, ssl.SSLError):
        raise RouteError(f"The CA certificate {ca_cert} cannot be loaded. It must be a readable PEM file.") from None


def is_lasting(error: Exception) -> bool:
    """True when the same request fails again for sure: nothing to retry."""
    return isinstance(error, aiohttp.ClientSSLError | aiohttp.InvalidURL)


def describe(error: Exception, timeout_s: float) -> tuple[str, str]:
    """(cause, remedy) for the user; built from the error's kind, so it never holds a header or a key."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return (
            "its host name does not resolve",
            "Check the host in model.url and the DNS of the worker's machine.",
        )
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "") or "not trusted"
        return f"its TLS certificate was refused ({reason})", "Give its CA as ca_cert in the model's secret."
    if isinstance(error, aiohttp.ClientSSLError):
        return (
            "the TLS handshake failed",
            "Check whether model.url should begin with http:// instead of https://.",
        )
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection within {CONNECT_TIMEOUT_S:g} s", "Check address, port and firewall."
    if isinstance(error, asyncio.TimeoutError):
        return (
            f"no answer within {timeout_s:g} s",
            "Check the load of the endpoint, or raise the model's time-out.",
        )
    if isinstance(error, aiohttp.ClientOSError) and isinstance(error.__cause__, ConnectionRefusedError):
        return "the connection was refused", "Check that the model server runs and listens on that port."
    if isinstance(error, aiohttp.ClientConnectorError):
        return (
            f"the connection failed ({error.strerror or 'network error'})",
            "Check address, port and network of the model server.",
        )
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return "it closed the connection without an answer", "Look into the log of the model server."
    if isinstance(error, aiohttp.ClientPayloadError):
        return "its answer broke off", "Look into the log of the model server."
    return f"the exchange failed ({type(error).__name__})", "Check that model.url speaks HTTP."
