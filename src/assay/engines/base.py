"""What an engine is: how it turns a benchmark into a plan, and how it carries a plan out.

An engine has two halves. The *planner* runs in the server at admission: it knows from files alone what can be known, and
refuses what cannot succeed. The *executor* runs in the worker. Neither imports an evaluation library.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from assay.artifacts.snapshots import Files
from assay.model.protocol import Ending, Lease
from assay.runtimes.guards import Guards


@dataclass(frozen=True)
class Offer:
    """A benchmark of a provider, with what the user asked of it, before it is a plan."""

    provider_id: str
    benchmark: Mapping[str, Any]
    runtime: Mapping[str, Any]
    folder: Path | None
    """Where relative paths of the provider start; None for a provider that is no file."""
    parameters: Mapping[str, Any]
    model_url: str


@dataclass(frozen=True)
class Resolution:
    """What the planner makes of an offer: the engine's options, the digests of what it will read, its version.

    `files` are what the run needs of this machine; a snapshot of them is brought to the worker.
    """

    options: dict[str, Any] = field(default_factory=dict)
    files: Files | None = None
    datasets: dict[str, str] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True)
class Site:
    """What an executor may use of the machine: folders, and the server's patience with a run."""

    engines_dir: Path
    sockets_dir: Path
    max_log_bytes: int
    run_timeout_s: float
    marker: str
    """`NAME=value` for the environment of every process that the worker starts."""
    guards: Guards
    """Below them the processes of runs are started."""


@dataclass(frozen=True)
class Doors:
    """The ways out that the gateway gives a run: base URLs of the model, the callbacks and MLflow, and the run's own token.

    `mlflow_url` is empty for a run of no experiment; `mlflow_workspace` is the workspace that calls to it are made in.
    """

    model_url: str
    callback_url: str
    token: str
    usage: Callable[[], Mapping[str, Any]]
    mlflow_url: str = ""
    mlflow_workspace: str = ""


@dataclass
class Progress:
    """How far a run is; the executor writes it, the heartbeat carries it. `changed` is set at each change."""

    done: int = 0
    total: int = 0
    phase: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def update(self, done: int, total: int, phase: str = "") -> None:
        """Note new figures."""
        if (done, total, phase or self.phase) != (self.done, self.total, self.phase):
            self.done, self.total, self.phase = done, total, phase or self.phase
            self.changed.set()


Upload = Callable[[str, Path, str], Awaitable[Any]]


@dataclass(frozen=True)
class Assignment:
    """One attempt to carry out: the lease, a folder of its own, and its ways out.

    `started` tells the server that the process runs; `log` takes a line of output; `upload` stores a file as an artifact and
    returns its reference; `stop` is set when the run must end at once.
    """

    lease: Lease
    folder: Path
    doors: Doors
    progress: Progress
    started: Callable[[], Awaitable[None]]
    log: Callable[[str, bytes], None]
    upload: Upload
    stop: asyncio.Event
    marker: Mapping[str, str]
    """Environment variables by which the worker finds every process of this attempt again."""
    devices: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that show the run the GPUs that it has been given, and no others."""
    files: Path | None = None
    """The folder of the plan's snapshot where the run starts; None for a plan without one."""


class Planner(Protocol):
    """The server's half of an engine."""

    name: str
    reads_files: bool
    """Whether `resolve` reads task files or hashes data sets, which may be large: it is then called in a thread."""

    def resolve(self, offer: Offer, engines_dir: Path) -> Resolution:
        """Return what the plan needs to know. Raises PreflightFailed or EngineMissing for what cannot succeed."""
        ...


class Executor(Protocol):
    """The worker's half of an engine."""

    name: str
    version: str
    only_reads_files: bool
    """Whether runs of one snapshot may share one folder of it; else each gets a copy of its own."""

    def begin(self) -> None:
        """Get ready for the first run, in the background."""
        ...

    async def execute(self, assignment: Assignment) -> Ending:
        """Carry the plan out; always return how it ended, and leave no process behind."""
        ...

    async def close(self) -> None:
        """End whatever the engine keeps going between runs."""
        ...
