"""The wire shapes of the worker API: what a worker and the server say to each other.

Every call about a run carries the *fence* of the lease it was made under; a stale one is answered with 409 and the worker
stops what it runs.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from assay.model.plan import Context, Plan
from assay.model.states import WorkerState

PROTOCOL = 3
"""The version of what is said here. It grows whenever one side would misunderstand the other; both must be of the same."""

FENCE_HEADER = "X-Assay-Fence"
"""Carries the fence of the lease under which an adapter's event was sent; the gateway adds it."""

RUN_HEADER = "X-Assay-Run"
"""Carries the id of the run whose adapter sent an event: it may report on no other. The gateway adds it."""

STARTED_HEADER = "X-Assay-Started"
"""Comes with the event of an adapter whose start has not been told yet: the run's id, a blank, and how many milliseconds ago
its process started. The gateway adds it."""


Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A whole number that the store can keep."""


class Gpu(msgspec.Struct, frozen=True, omit_defaults=True):
    """A GPU that the worker may give to runs. `id`: its name in CUDA_VISIBLE_DEVICES; `memory`: bytes, 0 if not known."""

    id: str
    name: str = ""
    memory: Count = 0


class Registration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker says who it is and what it has. One `name` is one worker: registering again ends its earlier incarnation."""

    name: str
    incarnation: Annotated[str, msgspec.Meta(min_length=1)]
    """Random, new for every process, and for one that has lost touch with the server."""
    slots: Count
    engines: dict[str, str] = {}
    """Engine name to version."""
    version: str = ""
    """Assay's."""
    protocol: Count = 1
    cpus: Count = 0
    memory: Count = 0
    """Bytes."""
    gpus: list[Gpu] = []
    labels: dict[str, str] = {}


class Registered(msgspec.Struct, frozen=True):
    """The server's terms, in seconds, and what the worker may do."""

    lease_s: float
    heartbeat_s: float
    protocol: Count = 1
    state: WorkerState = WorkerState.ACTIVE


class LeaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for up to `free` runs that need no more than `gpus` GPUs together; wait up to `wait_s` seconds for something to
    happen.
    """

    incarnation: str
    free: Count
    gpus: Count = 0
    wait_s: float = 20.0


class _Leased(msgspec.Struct, frozen=True, kw_only=True):
    run_id: str
    job_id: str
    index: int
    attempt: int
    fence: Count


class Lease(_Leased, frozen=True, kw_only=True):
    """A run, and the right to execute it until the lease lapses."""

    plan: Plan
    context: Context


class Grant(_Leased, frozen=True, kw_only=True):
    """A lease as the server gives it: plan and context go out as the JSON that is stored."""

    plan: msgspec.Raw
    context: msgspec.Raw


class _Answered(msgspec.Struct, frozen=True, kw_only=True):
    check: bool = False
    state: WorkerState = WorkerState.ACTIVE


class LeaseAnswer(_Answered, frozen=True, kw_only=True):
    """New leases; `check` asks for a heartbeat at once, because something the worker holds has been stopped, or because what
    the worker may do has changed; `state` is what it may do.
    """

    leases: list[Lease]


class GrantAnswer(_Answered, frozen=True, kw_only=True):
    """A `LeaseAnswer` as the server gives it."""

    leases: list[Grant]


class Holding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run that the worker still works on, and how far it is (samples done of all)."""

    run_id: str
    fence: Count
    done: Count = 0
    total: Count = 0
    phase: str = ""


class Heartbeat(msgspec.Struct, frozen=True):
    """Everything the worker holds: renews all its leases in one call.

    `ends`: it is the last one. The process ends in good order, holds nothing any more, and has carried out a drain.
    """

    incarnation: str
    holding: list[Holding]
    ends: bool = False


class HeartbeatAnswer(msgspec.Struct, frozen=True):
    """Runs the worker must stop: cancelled, deleted, finished by a report, or leased to someone else; and what it may do."""

    stop: list[str]
    state: WorkerState = WorkerState.ACTIVE


class Start(msgspec.Struct, frozen=True):
    """The run's process has started."""

    fence: Count


class ArtifactRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """A named output that has been uploaded. `digest` is `sha256:<hex>`, `size` in bytes."""

    name: str
    digest: str
    size: Count
    media_type: str = "application/octet-stream"


class Asking(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker that tells how a run ended asks for up to `free` runs that need no more than `gpus` GPUs together.

    It waits for none: what there is at that moment comes with the answer, which else is empty.
    """

    worker: str
    incarnation: str
    free: Count = 1
    gpus: Count = 0


class Ending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an attempt ended.

    `outcome`: `completed` (with metrics), `failed` (with code and message; `temporary` asks for another attempt), `exited`
    (the process is gone and nobody has said how the benchmark went: the watchdog decides after a grace period), `released`
    (stopped as told; the server already knows why).
    """

    fence: Count
    outcome: str
    code: str = ""
    message: str = ""
    origin: str = "runtime"
    temporary: bool = False
    exit_code: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)] | None = None
    metrics: dict[str, Any] = {}
    additional_info: dict[str, Any] = {}
    artifacts: list[ArtifactRef] = []
    warning: str = ""
    job_id: str = ""
    """The run's job, for those who follow its log."""
    started_ms: Count | None = None
    """How many milliseconds ago the run's process started, where that has not been told yet."""
    ask: Asking | None = None
    """The slot that becomes free is asked for more: what there is comes with the answer."""


OUTCOMES = frozenset({"completed", "failed", "exited", "released"})
