"""What handlers work with, and who calls them."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import Request

from assay.artifacts.blobs import BlobStore
from assay.config import Settings
from assay.model.errors import BadRequest, Unauthorised
from assay.scheduler.durations import Durations
from assay.scheduler.offerings import Offerings
from assay.scheduler.quota_file import QuotaFile
from assay.server.documents import Documents
from assay.server.logs import LogFiles
from assay.server.metrics import Metrics
from assay.server.pulse import Pulse
from assay.store.base import Store

if TYPE_CHECKING:  # its library is an extra
    from assay.redis import Redis

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LONGEST_NAME = 255
"""Most characters of a header that names something."""


@dataclass(frozen=True)
class Services:
    """Everything a handler may use. One for each server process."""

    settings: Settings
    store: Store
    offerings: Offerings
    documents: Documents
    """Jobs, by their version."""
    pages: Documents
    """Lists, by the store's generation."""
    logs: LogFiles
    blobs: BlobStore
    metrics: Metrics
    pulse: Pulse
    quotas: QuotaFile
    durations: Durations
    redis: Redis | None
    """What servers share beside the store; None where no Redis is used."""
    worker_key: str = field(repr=False)


@dataclass(frozen=True)
class Caller:
    """Who makes a request. `tenant` empty: no tenant."""

    tenant: str
    user: str
    is_worker: bool


def services(request: Request) -> Services:
    """Return the services of the server that handles `request`."""
    found: Services = request.scope["assay.services"]
    return found


def caller(request: Request) -> Caller:
    """Return who makes the request. Raises BadRequest for a name that is none."""
    found: Caller | None = request.scope.get("assay.caller")
    if found is None:
        found = request.scope["assay.caller"] = _caller(request)
    return found


def _caller(request: Request) -> Caller:
    named = {b"x-tenant": b"", b"x-user": b"", b"authorization": b""}
    for name, value in request.scope["headers"]:
        if name in named:
            named[name] = named[name] or value
    tenant, user, key = named.values()
    is_worker = bool(key) and hmac.compare_digest(key.removeprefix(b"Bearer "), services(request).worker_key.encode())
    return Caller(_name("X-Tenant", tenant), _name("X-User", user), is_worker)


def bounded(request: Request, name: str) -> str:
    """Return a header that names something; empty if not given. Raises BadRequest for one that is no name."""
    return _name(name, request.headers.get(name, "").encode("latin-1"))


def _name(header: str, value: bytes) -> str:
    text = value.decode("latin-1")
    if len(text) > LONGEST_NAME or _CONTROL.search(text):
        raise BadRequest(error=f"the header {header} must have at most {LONGEST_NAME} characters, none of control")
    return text


def require_worker(request: Request) -> None:
    """Raise Unauthorised unless a worker with its key calls."""
    if not caller(request).is_worker:
        raise Unauthorised
