"""What the texts of settings mean. Each reader returns the value, or raises ValueError with what is wanted instead."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

MEMORY = "memory"
"""The value of `database` for a database that goes when the server stops."""

_ENCODED = "%#/?@:[]"
"""Signs that a user name or password in a URL holds only encoded."""
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def whole(text: str) -> int:
    """Read a whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"'{text}' is no whole number") from None


def port(text: str) -> int:
    """Read a port."""
    number = whole(text)
    if not 0 <= number < 65536:
        raise ValueError("a port lies between 0 (any free one) and 65535")
    return number


def optional_port(text: str) -> int | None:
    """Read a port, or nothing."""
    return port(text) if text else None


def count(text: str) -> int:
    """Read a number, 1 or more."""
    number = whole(text)
    if number < 1:
        raise ValueError("at least 1 is needed")
    return number


def limit(text: str) -> int:
    """Read a number, 1 or more, or -1 for no limit."""
    number = whole(text)
    if number < 1 and number != -1:
        raise ValueError("at least 1 is needed, or -1 for no limit")
    return number


def header_bytes(text: str) -> int:
    """Read the size of a message head, of which the HTTP server keeps no less than 8 kB."""
    number = whole(text)
    if number < 8192:
        raise ValueError("at least 8192 is needed")
    return number


def seconds(text: str) -> float:
    """Read a number of seconds, 0 or more."""
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"'{text}' is no number of seconds") from None
    if not 0 <= number < float("inf"):
        raise ValueError("a number of seconds, 0 or more, is needed")
    return number


def patience(text: str) -> float:
    """Read a number of seconds, more than 0."""
    number = seconds(text)
    if not number:
        raise ValueError("more than 0 seconds are needed")
    return number


def duration(text: str) -> float:
    """Read a length of time as Go writes it (`15s`, `1m30s`, `500ms`); return seconds."""
    unsigned = text.strip().lstrip("+-")
    if unsigned != "0" and not re.fullmatch(f"(?:{_DURATION.pattern})+", unsigned):
        raise ValueError(f"'{text}' is no length of time; write it with its unit, such as 15s, 5m or 1h30m")
    if text.strip().startswith("-"):
        raise ValueError("a length of time cannot be negative")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(unsigned))


def days(text: str) -> float:
    """Read a number of days, 0 or more."""
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"'{text}' is no number of days") from None
    if not 0 <= number <= 36500:
        raise ValueError("a number of days from 0 (for ever) to 36500 is needed")
    return number


def days_of_tenants(text: str) -> tuple[str, ...]:
    """Read `tenant=days` with commas between them."""
    found = names(text)
    for pair in found:
        tenant, sign, number = pair.rpartition("=")
        if not sign:
            raise ValueError(f"'{pair}' is not of the form tenant=days, such as ci=7")
        days(number)
        if sum(other.rpartition("=")[0] == tenant for other in found) > 1:
            raise ValueError(f"the tenant '{tenant}' is named twice")
    return found


def yes(text: str) -> bool:
    """Read yes or no."""
    if text.lower() not in ("yes", "no", "true", "false", "1", "0"):
        raise ValueError("yes or no is needed")
    return text.lower() in ("yes", "true", "1")


def database(text: str) -> str:
    """Read where the jobs are kept: nothing, a PostgreSQL URL, `file:PATH`, or `memory`."""
    known = text.startswith(("postgresql://", "postgres://")) or text in ("", MEMORY) or re.match(r"file:.", text)
    if not known:
        raise ValueError("a URL that begins with postgresql:// is needed, or file:PATH, or memory, or nothing")
    if text.startswith("postgres") and not _whole_url(text):
        signs = ", ".join(f"{sign} as {quote(sign, safe='')}" for sign in _ENCODED)
        raise ValueError(f"it is no URL of a database. In its user name and password write {signs}")
    pooled = dict(parse_qsl(urlsplit(text).query, keep_blank_values=True)).get("pgbouncer", "true")
    if text.startswith("postgres") and pooled not in ("true", "false"):
        raise ValueError("its option pgbouncer must be true or false")
    return text


def redis(text: str) -> str:
    """Read the URL of a Redis server, or nothing."""
    if not text:
        return text
    if not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("a URL that begins with redis://, rediss:// (TLS) or unix:// is needed, or nothing")
    if not _whole_url(text):
        signs = ", ".join(f"{sign} as {quote(sign, safe='')}" for sign in _ENCODED)
        raise ValueError(f"it is no URL of a Redis server. In its user name and password write {signs}")
    return text


def _whole_url(text: str) -> bool:
    """Say whether a sign in a password that should have been encoded has not cut the URL in two."""
    try:
        parts = urlsplit(text)
        return parts.port != 0 and "@" not in parts.path + parts.query + parts.fragment
    except ValueError:  # its own text could hold a part of the password
        return False


def level(text: str) -> str:
    """Read a level of the log."""
    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError("one of debug, info, warning, error is needed")
    return text.upper()


def path(text: str) -> Path:
    """Read a path."""
    return Path(text).expanduser()


def optional_path(text: str) -> Path | None:
    """Read a path, or nothing."""
    return path(text) if text else None


def folders(text: str) -> tuple[Path, ...]:
    """Read paths with the separator of PATH between them."""
    return tuple(path(part) for part in text.split(os.pathsep) if part)


def web_url(text: str) -> str:
    """Read the http or https URL of a service, or nothing."""
    if not text:
        return text
    parts = urlsplit(text)
    if not (re.match(r"https?://", text) and parts.hostname):
        raise ValueError("a URL that begins with http:// or https:// is needed")
    if "@" in parts.netloc:
        raise ValueError("it holds a user name or password; give the bare URL, and the token as a setting of its own")
    if parts.query or parts.fragment:
        raise ValueError("a URL without a query is needed")
    return text.rstrip("/")


def one_of(*allowed: str) -> Callable[[str], str]:
    """Return what reads one of these words."""

    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"one of {', '.join(allowed)} is needed")
        return text

    return read


def names(text: str) -> tuple[str, ...]:
    """Read names with commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def origins(text: str) -> tuple[str, ...]:
    """Read the origins of web pages with commas between them; return them in lower case."""
    found = names(text)
    for origin in found:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query or parts.fragment:
            raise ValueError(f"'{origin}' is no origin: scheme, host and port are needed, as in https://lab.example:8443")
    return tuple(origin.lower() for origin in found)


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """Read addresses and networks in CIDR notation with commas between them."""
    try:
        return tuple(ipaddress.ip_network(part) for part in names(text))
    except ValueError as error:
        raise ValueError(f"{error}; write addresses and networks such as 10.1.2.3, 10.1.0.0/16 or fd00::/8") from None


def tries(text: str) -> int:
    """Read a number, 0 or more."""
    number = whole(text)
    if number < 0:
        raise ValueError("0 or more is needed")
    return number


def reference(text: str) -> str:
    """Read a URI reference (RFC 3986)."""
    if not re.fullmatch(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,500}", text):
        raise ValueError("a URI, or a path such as /assay, is needed")
    return text


def segment(text: str) -> str:
    """Read a name that becomes one step of a path, or nothing."""
    if not re.fullmatch(r"[A-Za-z0-9._~-]*", text) or text in (".", ".."):
        raise ValueError("letters, digits, '.', '_', '~' and '-' only")
    return text
