"""Plans: everything resolved before a run starts.

The *identity* fields of a plan decide its digest: two runs with one digest do the same work. The *context* (who, when,
where the credential is, how results are judged) is recorded beside it and never changes the digest.
"""

from __future__ import annotations

from typing import Any

import msgspec

from assay.model import identity
from assay.model.errors import PreflightFailed
from assay.model.placement import Resources
from assay.model.scores import Criteria


class Model(msgspec.Struct, frozen=True, omit_defaults=True):
    """The model under evaluation. `url` is the base of its API, for example `http://host:8000/v1`."""

    name: str
    url: str = ""
    parameters: dict[str, Any] = {}
    card_url: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run will do. Every field is identity."""

    kind: str
    provider_id: str
    benchmark_id: str
    engine: str
    engine_version: str = ""
    model: Model
    parameters: dict[str, Any] = {}
    """The user's own, after merging."""
    options: dict[str, Any] = {}
    """The engine's, from the provider's catalogue entry: a command line, or a task and its endpoint."""
    datasets: dict[str, str] = {}
    """Digest of every file the run will read, by path."""
    snapshot: str = ""
    """Digest of the snapshot of the files that are brought to the worker; empty for none."""
    resources: Resources | None = None
    """What it asks of the worker, None for nothing."""
    runtime: str = "process"

    def digest(self) -> str:
        """Return the plan's identity, `sha256:<hex>`. Raises PreflightFailed for values that JSON cannot carry exactly."""
        try:
            return identity.digest(msgspec.to_builtins(self))
        except ValueError as error:
            raise PreflightFailed(field=f"benchmark '{self.benchmark_id}'", problem=f"{error}; send it as text") from error


class Context(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a run beside its plan."""

    secret_ref: str = ""
    criteria: Criteria = Criteria()
    timeout_s: float | None = None
    stale_s: float | None = None
    num_examples: int | None = None
    experiment_name: str = ""
    experiment_tags: list[dict[str, str]] = []
    experiment_workspace: str = ""
    """MLflow's, empty where the MLflow server has none."""
    exports: dict[str, Any] = {}
    locations: dict[str, str] = {}
    """About the plan's snapshot: `root` is the folder that it was taken of, `start` where in it the run starts."""
