"""The catalogue: providers and collections, read from YAML files in folders.

The built-in folder comes first. An entry of a folder that a user names takes the place of a built-in one of its id; among
those no id may occur twice. An invalid file stops the start with its name and what is wrong, rather than be passed over; one
without an `id` is no entry, and only a warning, as EvalHub has it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from assay.config.yaml_text import parsed
from assay.model import offering, shapes
from assay.model.errors import AssayError, CatalogueInvalid, DoesNotExist

log = logging.getLogger(__name__)

SYSTEM = "system"
"""Owner of the catalogue's entries."""

KINDS = {"provider": (offering.PROVIDER, "ProviderConfig"), "collection": (offering.COLLECTION, "CollectionConfig")}
"""What a catalogue holds: the shape of each kind, and the name under which its failures are told."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader, in C where PyYAML has it: the built-in files take a tenth of the time."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A provider or a collection. `body` is normalised, times are microseconds since 1970, `folder` is where relative
    paths start.

    Two are equal only if they are one object, so an entry is a cache key.
    """

    id: str
    tenant: str
    owner: str
    created_at: int
    updated_at: int
    body: dict[str, Any]
    folder: Path | None = None

    @property
    def is_system(self) -> bool:
        """Whether it is of the catalogue: everybody sees it, nobody changes it."""
        return self.owner == SYSTEM

    @property
    def engine(self) -> str:
        """The engine that carries a provider's benchmarks out; `adapter` where nothing else is said."""
        return str(self.body.get("runtime", {}).get("assay", {}).get("engine", "adapter"))

    def benchmark(self, benchmark_id: str) -> dict[str, Any]:
        """Return one of a provider's benchmarks. Raises DoesNotExist."""
        found = self._benchmarks.get(benchmark_id)
        if found is None:
            raise DoesNotExist(kind="benchmark", id=benchmark_id)
        return found

    @cached_property
    def _benchmarks(self) -> dict[str, dict[str, Any]]:
        """A provider's benchmarks by id; of several with one id the first."""
        return {benchmark["id"]: benchmark for benchmark in reversed(self.body["benchmarks"])}


@dataclass(frozen=True)
class Catalogue:
    """The system's entries: kind to id to entry, in the order of the ids."""

    entries: dict[str, dict[str, Entry]]


def built_in() -> Path:
    """Return the folder of the catalogue that ships with Assay."""
    return Path(str(resources.files("assay").joinpath("catalogue")))


def load(folders: Iterable[Path], *, strict: bool = False) -> Catalogue:
    """Read the built-in catalogue and those in `folders`. Raises CatalogueInvalid; `strict`: also where an id is missing."""
    ours = built_in()
    entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
    for folder in (ours, *folders):
        if not folder.is_dir():
            raise CatalogueInvalid(path=folder, problem="the folder does not exist; check --catalog")
        for kind, found in entries.items():
            for path in sorted((folder / f"{kind}s").glob("*.yaml")):
                entry = _entry(kind, path)
                if entry is None:
                    if strict:
                        raise CatalogueInvalid(path=path, problem="it must have a non-empty `id`")
                    log.warning("the catalogue file %s has no id and is passed over", path)
                    continue
                before = found.get(entry.id)
                if before and before.folder and before.folder.parent != ours:
                    raise CatalogueInvalid(
                        path=path, problem=f"the id '{entry.id}' is taken by another file; choose another"
                    )
                found[entry.id] = entry
    return Catalogue({kind: dict(sorted(found.items())) for kind, found in entries.items()})


def _entry(kind: str, path: Path) -> Entry | None:
    """Return what a file holds, None if it has no id."""
    given = _read(path)
    if given.get("id") in (None, ""):
        return None
    shape, root = KINDS[kind]
    body = _normalise(shape, root, path, given)
    listed = [(benchmark.get("provider_id"), benchmark["id"]) for benchmark in body["benchmarks"]]
    if kind == "provider" and len(set(listed)) < len(listed):
        raise CatalogueInvalid(path=path, problem="a benchmark is listed twice")
    at = int(path.stat().st_mtime) * 1_000_000
    return Entry(given["id"], "", SYSTEM, at, at, body, path.parent)


def _read(path: Path) -> dict[str, Any]:
    try:
        entry = parsed(path.read_text(encoding="utf-8"), _LOADER)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogueInvalid(path=path, problem=" ".join(str(error).split())) from error
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str | None):
        raise CatalogueInvalid(path=path, problem="it must be a mapping with a non-empty `id`")
    return entry


def _normalise(shape: shapes.Object, root: str, path: Path, entry: dict[str, Any]) -> dict[str, Any]:
    try:
        return shapes.read(shape, root, entry)
    except AssayError as error:
        raise CatalogueInvalid(path=path, problem=str(error.details.get("error", error))) from error
