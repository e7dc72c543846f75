"""What callers may do: scopes, the roles that bundle them, and what a call costs.

A scope is a power that a route asks for. A role is a named set of scopes; a key has roles. Whatever no role of a key
grants is refused.
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable, Mapping
from typing import Any, Final

EVERY_TENANT: Final = "*"
"""The tenant of a key that may work for any; `X-Tenant` then says for which."""
ANY_USER: Final = "*"
"""The user of a key that speaks for many, as that of a proxy which checks people itself; `X-User` then says for whom."""


class Scope(enum.StrEnum):
    """What a caller must be allowed to do."""

    OPEN = "open"
    """Nothing: everybody may, without a key."""
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    """Submit, rerun, cancel and delete."""
    RUNS_REPORT = "runs:report"
    """Report on a benchmark of a job, as adapters do."""
    CATALOGUE_READ = "catalogue:read"
    CATALOGUE_WRITE = "catalogue:write"
    WEBHOOKS_MANAGE = "webhooks:manage"
    """See, make and change webhooks, and what they were sent."""
    QUEUE_READ = "queue:read"
    WORKERS_READ = "workers:read"
    WORKERS_MANAGE = "workers:manage"
    """Drain, pause, resume and forget workers."""
    WORK = "workers:work"
    """Lease runs and bring back their results. Only workers need it."""
    TENANT_MANAGE = "tenant:manage"
    """Be an administrator: change what others of the tenant own, and bring code where only administrators may."""
    KEYS_MANAGE = "keys:manage"
    METRICS_READ = "metrics:read"
    SERVER_MANAGE = "server:manage"
    """Have the server clean up, which concerns every tenant."""


GRANTABLE: Final = frozenset(Scope) - {Scope.OPEN}
"""The scopes that a role may hold."""
OF_ALL_TENANTS: Final = frozenset({Scope.WORK, Scope.WORKERS_MANAGE, Scope.METRICS_READ, Scope.SERVER_MANAGE})
"""What concerns every tenant, so that only a key of all tenants opens it."""
OF_WORKERS: Final = frozenset({Scope.WORK, Scope.RUNS_REPORT})
_VIEWER: Final = frozenset({Scope.JOBS_READ, Scope.CATALOGUE_READ, Scope.QUEUE_READ, Scope.WORKERS_READ})
_USER: Final = _VIEWER | {Scope.JOBS_WRITE, Scope.CATALOGUE_WRITE, Scope.WEBHOOKS_MANAGE}

Roles = Mapping[str, frozenset[Scope]]
"""The scopes of each role, by its name."""

BUILT_IN: Final[Roles] = {
    "viewer": _VIEWER,
    "user": _USER,
    "operator": _USER | {Scope.WORKERS_MANAGE, Scope.TENANT_MANAGE, Scope.METRICS_READ},
    "admin": GRANTABLE - OF_WORKERS,
    "worker": OF_WORKERS,
}
"""The roles that are there unless a file says otherwise."""
UNCHECKED: Final = GRANTABLE - {Scope.WORK, Scope.KEYS_MANAGE}
"""What everybody may do at a server that asks nobody for a key."""


class Cost(enum.StrEnum):
    """What a call costs the server; each class has a rate of its own."""

    READ = "read"
    LIST = "list"
    WRITE = "write"
    SUBMIT = "submit"
    STREAM = "stream"
    """An answer that goes on for as long as something lasts."""
    FREE = "free"
    """Never limited: health, and what workers must be able to say to keep their leases."""


LIMITED: Final = tuple(cost for cost in Cost if cost is not Cost.FREE)
"""The classes that have a rate."""


def read_roles(document: Any) -> Roles:
    """Return the built-in roles with those of a roles file, which take their place where the names are the same.

    The file is a mapping `roles` of names to lists of scopes; `*` is every scope but those of workers, `jobs:*` every one of
    jobs. Raises ValueError that says what is wrong.
    """
    listed = document.get("roles") if isinstance(document, dict) else None
    if not isinstance(listed, dict) or set(document) != {"roles"}:
        raise ValueError("it must hold one mapping `roles`, of names to lists of scopes, and nothing else")
    roles = dict(BUILT_IN)
    for name, scopes in listed.items():
        if not isinstance(name, str) or not name or not isinstance(scopes, list):
            raise ValueError(f"roles.{name} must be a list of scopes")
        roles[name] = frozenset(scope for one in scopes for scope in _scopes(name, one))
    return roles


def scopes_of(roles: Roles, names: Iterable[str]) -> frozenset[Scope]:
    """Return what several roles grant together. A role that is not there grants nothing."""
    return frozenset().union(*(roles.get(name, frozenset()) for name in names))


def _scopes(role: str, text: Any) -> Iterable[Scope]:
    if text == "*":
        return GRANTABLE - OF_WORKERS
    known = {scope.value: scope for scope in GRANTABLE}
    if text in known:
        return (known[text],)
    group = [scope for scope in GRANTABLE if isinstance(text, str) and text.endswith(":*") and scope.startswith(text[:-1])]
    if group:
        return group
    close = difflib.get_close_matches(str(text), known, n=1)
    hint = f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(sorted(known))}"
    raise ValueError(f"roles.{role}: '{text}' is no scope{hint}")
