"""What became of jobs and runs, told to whoever counts it.

Operations yield these changes where they make them. A store tells them once the transaction is durable, and drops those of
an operation that was refused; so each is told once, by the server that wrote it, whoever caused it: users, workers, adapters
or recovery.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

from assay.model.states import JobState, Status

log = logging.getLogger(__name__)


class JobMoved(NamedTuple):
    """A job went to another state. `before` None: it was created. `provider` is that of its first benchmark."""

    tenant: str
    provider: str
    collection: str
    before: JobState | None
    state: JobState
    age_s: float
    """Seconds since the job was created."""


class RunMoved(NamedTuple):
    """A run went to another public status."""

    tenant: str
    provider: str
    benchmark: str
    status: Status
    took_s: float | None
    """Seconds that a completed or failed run took; None for others, and for one that never started."""


class JobActed(NamedTuple):
    """A user created, cancelled or deleted a job that runs on `runtime`."""

    action: str
    runtime: str
    tenant: str


Change = JobMoved | RunMoved | JobActed
Listener = Callable[[Iterable[Change]], None]


class Changes:
    """Who is told of changes. Called on the event loop, so a listener must be quick."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Have `listener` told of every change that this process commits from now on."""
        self._listeners.append(listener)

    def tell(self, changes: list[Change]) -> None:
        """Tell everybody; what goes wrong there does not reach those whose operations were committed."""
        for listener in self._listeners:
            try:
                listener(changes)
            except Exception:
                log.exception("a listener failed; what it counts is incomplete")
