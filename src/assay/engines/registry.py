"""Finds engines by name, through the entry points of installed packages (Assay's own among them)."""

from __future__ import annotations

from collections.abc import Container
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from assay.engines.base import Executor, Planner, Site
from assay.model.errors import PreflightFailed


@cache
def planners() -> dict[str, Planner]:
    """Return the server's half of every engine, by name."""
    return {entry.name: entry.load()() for entry in entry_points(group="assay.planners")}


def planner(name: str) -> Planner:
    """Return the server's half of an engine. Raises PreflightFailed for an unknown name."""
    try:
        return planners()[name]
    except KeyError:
        known = ", ".join(sorted(planners()))
        problem = f"there is no engine '{name}'; the provider's runtime.assay.engine must be one of: {known}"
        raise PreflightFailed(field="provider_id", problem=problem) from None


@cache
def _executors() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group="assay.executors"))


def executors(site: Site, known: Container[str] = ()) -> dict[str, Executor]:
    """Return the worker's half of every engine whose environment is there, by name, but for those that are `known`."""
    made = (entry.load()(site) for entry in _executors() if entry.name not in known)
    return {executor.name: executor for executor in made if executor is not None}
