"""Collections: how a collection's benchmarks and a job's overrides become the benchmarks of the job.

What comes out is a snapshot: later changes of the collection do not touch the job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from assay.model.errors import DoesNotExist, EmptyCollection

_FROM_COLLECTION: Final = ("id", "provider_id", "weight", "primary_score", "pass_criteria")
_OVERRIDABLE: Final = ("test_data_ref", "hardware_config", "timeout_seconds", "stale_seconds", "resources")
MERGED: Final = "merged"
"""The member of a stored job's `collection` that has its benchmarks as they were resolved, where they name test data. It is
shown in the place of the overrides once it is known what commit of the data was found."""
TAXONOMY: Final = ("domains", "tasks", "modalities", "evaluation_targets")
"""Lists of a collection that are filled from its benchmarks where it has none of its own."""


def resolve(
    collection_id: str, collection: Mapping[str, Any], overrides: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the benchmarks of a job that runs `collection`, in its order.

    Raises DoesNotExist for an override that names no provider or benchmark of the collection, EmptyCollection.
    """
    entries = collection.get("benchmarks", [])
    if not entries:
        raise EmptyCollection(id=collection_id)
    _check(entries, overrides)
    return [_merged(entry, overrides) for entry in entries]


def _check(entries: Sequence[Mapping[str, Any]], overrides: Sequence[Mapping[str, Any]]) -> None:
    providers = {entry["provider_id"] for entry in entries}
    pairs = {(entry["provider_id"], entry["id"]) for entry in entries}
    for override in overrides:
        if override["provider_id"] not in providers:
            raise DoesNotExist(kind="provider", id=override["provider_id"])
        if (override["provider_id"], override["id"]) not in pairs:
            raise DoesNotExist(kind="benchmark", id=override["id"])


def _merged(entry: Mapping[str, Any], overrides: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged = {name: entry[name] for name in _FROM_COLLECTION if name in entry}
    parameters: dict[str, Any] = {}
    for override in overrides:
        if override["provider_id"] == entry["provider_id"]:
            parameters |= override.get("parameters", {})
    for name, value in entry.get("parameters", {}).items():
        if value is None or value == "":
            parameters.pop(name, None)
        else:
            parameters[name] = value
    if parameters:
        merged["parameters"] = dict(sorted(parameters.items()))
    own = next((o for o in overrides if (o["provider_id"], o["id"]) == (entry["provider_id"], entry["id"])), {})
    for name in _OVERRIDABLE:
        if value := own.get(name) or entry.get(name):
            merged[name] = value
    return merged


def with_url(benchmark: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Return a collection's benchmark with the URL that its provider gives, in its place after the names, and no other."""
    names = {name: benchmark[name] for name in ("id", "provider_id")}
    rest = {name: value for name, value in benchmark.items() if name != "url"}
    return {**names, "url": url, **rest} if url else rest


def taxonomy(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the union of the benchmarks' own lists, each in the order in which values are first seen."""
    found = {name: list(dict.fromkeys(value for entry in entries for value in entry.get(name, []))) for name in TAXONOMY}
    return {name: values for name, values in found.items() if values}
