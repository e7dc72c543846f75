"""What the URL of a database says beside what asyncpg reads: whether a pooler stands in between."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_OPTION = "pgbouncer"
_OPTIONS: dict[str, Any] = {
    "timeout": 10,
    "command_timeout": 30,
    "server_settings": {"application_name": "assay"},
    "statement_cache_size": 500,
}
"""How every connection is made; times in seconds. There is room for all named statements, and for what is sent as one."""


class Address(NamedTuple):
    """Where a database is, for asyncpg.

    `pooled`: a pooler lends a connection for one transaction at a time (PgBouncer with `pool_mode = transaction`), so
    nothing that belongs to a connection lasts: no prepared statement, no LISTEN, no lock.
    """

    url: str
    pooled: bool

    @classmethod
    def of(cls, url: str) -> Address:
        """Read the setting `database`, which may end in `?pgbouncer=true`."""
        parts = urlsplit(url)
        if _OPTION not in parts.query:
            return cls(url, False)
        options = parse_qsl(parts.query, keep_blank_values=True)
        others = [(name, value) for name, value in options if name != _OPTION]
        return cls(urlunsplit(parts._replace(query=urlencode(others))), (_OPTION, "true") in options)

    @property
    def options(self) -> dict[str, Any]:
        """How a connection there is made."""
        return _OPTIONS | ({"statement_cache_size": 0} if self.pooled else {})
