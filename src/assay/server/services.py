"""What handlers work with, and who calls them."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request

from assay.artifacts.blobs import BlobStore
from assay.config import Settings
from assay.model.access import Scope
from assay.model.errors import BadRequest
from assay.notify.outward import OutwardResolver
from assay.scheduler.durations import Durations
from assay.scheduler.inputs import Inputs
from assay.scheduler.offerings import Offerings
from assay.scheduler.quota_file import QuotaFile
from assay.scheduler.retention import Retention
from assay.server.access.keyring import Keyring
from assay.server.documents import Documents, Pages
from assay.server.logs import LogFiles
from assay.server.metrics import Metrics
from assay.server.pulse import Pulse
from assay.server.storage import Storage
from assay.server.streams import Streams
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
    pages: Pages
    """Lists and what else is right until something is written, by `generation`."""
    logs: LogFiles
    blobs: BlobStore
    inputs: Inputs
    metrics: Metrics
    pulse: Pulse
    streams: Streams
    storage: Storage
    retention: Retention
    quotas: QuotaFile
    durations: Durations
    redis: Redis | None
    """What servers share beside the store; None where no Redis is used."""
    keyring: Keyring
    outward: OutwardResolver
    """Where webhooks may lead."""

    async def generation(self) -> Hashable:
        """Return what differs once anything has been written, or the catalogue is another.

        To be asked before the store is: what is written while an answer is made must make it stale.
        """
        return await self.store.generation(), self.offerings.generation


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, as the gate found out. `tenant` empty: no tenant."""

    tenant: str
    user: str
    scopes: frozenset[Scope]
    key: str = ""
    """The prefix of the API key; empty without one."""
    every_tenant: bool = False
    """Whether the key is for all tenants, of which `tenant` is the one that was asked for."""

    @property
    def is_worker(self) -> bool:
        """Whether a worker calls: it speaks for runs of all tenants."""
        return Scope.WORK in self.scopes


def services(request: Request) -> Services:
    """Return the services of the server that handles `request`."""
    found: Services = request.scope["assay.services"]
    return found


def caller(request: Request) -> Caller:
    """Return who makes the request."""
    found: Caller = request.scope["assay.caller"]
    return found


def bounded(request: Request, name: str) -> str:
    """Return a header that names something; empty if not given. Raises BadRequest for one that is no name."""
    return named(name, request.headers.get(name, "").encode("latin-1"))


def named(header: str, value: bytes) -> str:
    """Return the value of a header that names something. Raises BadRequest for one that is no name."""
    if not value:
        return ""
    text = value.decode("latin-1")
    if len(text) > LONGEST_NAME or _CONTROL.search(text):
        raise BadRequest(error=f"the header {header} must have at most {LONGEST_NAME} characters, none of control")
    return text
