"""Opens connections to PostgreSQL, and tells a user in words why one cannot be opened or has failed."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import asyncpg

from assay.config.masking import without_password
from assay.model.errors import StoreUnavailable, StoreUnusable
from assay.store.postgres.address import Address

OLDEST: Final = 13
"""The oldest major version that is supported."""

FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""Whatever a connection may raise, for `explain`."""

_POOLED: Final = "a pooler in transaction mode stands in between"

CONFLICTS: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.UniqueViolationError)
"""Another transaction was in the way; the same operation may go through now."""


@contextlib.asynccontextmanager
async def connection(address: Address, *, patience_s: float | None = None) -> AsyncIterator[Any]:
    """Connect to a database that Assay can use. Raises StoreUnusable, in which no password is.

    `patience_s`: how long one statement may take.
    """
    url = address.url
    patience = {} if patience_s is None else {"command_timeout": patience_s}
    try:
        opened: Any = await asyncpg.connect(url, **address.options | patience)
    except (*FAILURES, ValueError, OverflowError) as error:
        raise _unusable(url, error) from error
    try:
        _check(url, opened)
        yield opened
    except FAILURES as error:
        raise _unusable(url, error) from error
    finally:
        with contextlib.suppress(*FAILURES):
            await opened.close(timeout=5)


def explain(error: Exception) -> StoreUnavailable:
    """Return the error that tells a user why the database cannot be asked at the moment, and the remedy."""
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return StoreUnavailable(error="it takes no more connections", remedy="raise max_connections of PostgreSQL")
    if isinstance(error, asyncpg.InsufficientResourcesError):
        return StoreUnavailable(error="it is out of space or memory", remedy="free space on its machine")
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return StoreUnavailable(error="it only takes readers", remedy="see that --database leads to the primary")
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError):
        return StoreUnavailable(error="it refuses the login", remedy="check the user, password and name of --database")
    if isinstance(error, asyncpg.InvalidSQLStatementNameError | asyncpg.DuplicatePreparedStatementError):
        return StoreUnavailable(error=_POOLED, remedy="end --database in ?pgbouncer=true")
    if isinstance(error, asyncpg.PostgresError) and not isinstance(
        error, asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError
    ):
        return StoreUnavailable(error="it refused a statement", remedy="see the server's log")
    return StoreUnavailable(error="PostgreSQL does not answer", remedy="see that it runs")


def _check(url: str, opened: Any) -> None:
    """Raise StoreUnusable for a server or a database that Assay does not work with."""
    version = opened.get_server_version()
    if version.major < OLDEST:
        problem = f"it is PostgreSQL {version.major}.{version.minor}"
        raise StoreUnusable(path=without_password(url), error=problem, remedy=f"Assay needs version {OLDEST} or later.")
    encoding = opened.get_settings().server_encoding
    if encoding != "UTF8":
        remedy = "Make a database with ENCODING 'UTF8' TEMPLATE template0."
        raise StoreUnusable(path=without_password(url), error=f"its encoding is {encoding}", remedy=remedy)


def _unusable(url: str, error: Exception) -> StoreUnusable:
    """Return the error that ends a start. Texts of PostgreSQL are not shown: they may quote what they were given."""
    parts = urlsplit(url)
    user, name = unquote(parts.username or ""), unquote(parts.path.lstrip("/"))
    problem, remedy = _problem(error, user or "ROLE", name or user or "NAME")
    return StoreUnusable(path=without_password(url), error=problem, remedy=remedy)


def _problem(error: Exception, user: str, name: str) -> tuple[str, str]:
    """Return what is wrong, and the remedy."""
    match error:
        case socket.gaierror():
            return "its host is not known", "Check the host of --database."
        case asyncpg.InvalidPasswordError():
            return "it refuses the user or the password", "Check both in --database."
        case asyncpg.InvalidAuthorizationSpecificationError():
            return "it does not let this user in", f"Check the user '{user}', and pg_hba.conf on the database's machine."
        case asyncpg.InvalidCatalogNameError():
            return "there is no such database", f'Make it: CREATE DATABASE "{name}" OWNER "{user}".'
        case asyncpg.InsufficientPrivilegeError():
            return (
                "its user has not the rights to keep tables there",
                f'Grant them: ALTER DATABASE "{name}" OWNER TO "{user}".',
            )
        case asyncpg.ReadOnlySQLTransactionError():
            return "it only takes readers", "Name the primary, not a replica, in --database."
        case asyncpg.InsufficientResourcesError():
            return explain(error).details["error"], f"On its machine: {explain(error).details['remedy']}."
        case asyncpg.InvalidSQLStatementNameError() | asyncpg.DuplicatePreparedStatementError():
            return _POOLED, "End --database in `?pgbouncer=true`."
        case asyncpg.CannotConnectNowError():
            return "it is starting or stopping", "Wait a moment and start again."
        case asyncpg.ClientConfigurationError() | asyncpg.UndefinedObjectError() | ValueError() | OverflowError():
            return "its URL has an option that is not known or not valid", "Check what follows the `?` in --database."
        case TimeoutError():
            return "it does not answer", "See that it runs, and that nothing else holds its tables."
        case OSError():
            return "nobody answers there", "See that PostgreSQL runs, and check the host and port of --database."
        case _:
            return f"it failed with {type(error).__name__}", "See the log of PostgreSQL."
