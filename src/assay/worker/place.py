"""Where attempts are carried out: what all of a worker share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from assay.client.workers import WorkerApi
from assay.gateway import Gateway, MlflowServer
from assay.worker.files import FileCache


@dataclass(frozen=True)
class Place:
    """What all attempts of a worker share."""

    api: WorkerApi
    gateway: Gateway
    server: str
    key: str = field(repr=False)
    runs_dir: Path
    secrets_dir: Path
    marker: str
    """`NAME=value`, in the environment of everything this worker starts."""
    max_log_bytes: int
    keep_folders_s: float
    lease_s: float
    files: FileCache
    has_gpus: bool = False
    """Whether the worker has GPUs to give: a run that has asked for none then sees none."""
    mlflow: MlflowServer | None = None
