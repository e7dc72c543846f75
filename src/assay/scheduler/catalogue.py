"""The catalogue: providers and collections, read from YAML files in folders.

The built-in folder comes first; folders that a user names come after it and may not reuse an id. An invalid file stops the
start with its name and what is wrong, rather than be passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from assay.model import offering, shapes
from assay.model.errors import AssayError, CatalogueInvalid, DoesNotExist, NotFound


@dataclass(frozen=True, eq=False)
class Provider:
    """A catalogue entry that offers benchmarks. `config` is normalised; `folder` is where relative paths start.

    Two are equal only if they are one object, so a provider is a cache key.
    """

    id: str
    config: dict[str, Any]
    folder: Path
    created_at: int
    benchmarks: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def engine(self) -> str:
        """The engine that carries its benchmarks out; `adapter` where nothing else is said."""
        return str(self.config.get("runtime", {}).get("assay", {}).get("engine", "adapter"))

    def benchmark(self, benchmark_id: str) -> dict[str, Any]:
        """Return one of its benchmarks, or raise DoesNotExist."""
        try:
            return self.benchmarks[benchmark_id]
        except KeyError:
            raise DoesNotExist(kind="benchmark", id=benchmark_id) from None


@dataclass(frozen=True)
class Catalogue:
    """Everything that can be submitted, by id."""

    providers: dict[str, Provider]
    collections: dict[str, dict[str, Any]]

    def provider(self, provider_id: str) -> Provider:
        """Return a provider, or raise NotFound."""
        try:
            return self.providers[provider_id]
        except KeyError:
            raise NotFound(kind="provider", id=provider_id) from None


def built_in() -> Path:
    """Return the folder of the catalogue that ships with Assay."""
    return Path(str(resources.files("assay").joinpath("catalogue")))


def load(folders: Iterable[Path]) -> Catalogue:
    """Read the built-in catalogue and those in `folders`. Raises CatalogueInvalid."""
    catalogue = Catalogue({}, {})
    for folder in (built_in(), *folders):
        if not folder.is_dir():
            raise CatalogueInvalid(path=folder, problem="the folder does not exist; check --catalog")
        for path in sorted((folder / "providers").glob("*.yaml")):
            _add(catalogue.providers, path, _provider(path))
        for path in sorted((folder / "collections").glob("*.yaml")):
            entry = _read(path)
            collection = _normalise(offering.COLLECTION, "CollectionConfig", path, entry)
            _add(catalogue.collections, path, {"id": entry["id"], **collection})
    return catalogue


def _add(entries: dict[str, Any], path: Path, entry: Any) -> None:
    entry_id = entry["id"] if isinstance(entry, dict) else entry.id
    if entry_id in entries:
        raise CatalogueInvalid(path=path, problem=f"the id '{entry_id}' is taken by another file; choose another")
    entries[entry_id] = entry


def _provider(path: Path) -> Provider:
    entry = _read(path)
    config = _normalise(offering.PROVIDER, "ProviderConfig", path, entry)
    benchmarks = {}
    for benchmark in config["benchmarks"]:
        if benchmark["id"] in benchmarks:
            raise CatalogueInvalid(path=path, problem=f"the benchmark '{benchmark['id']}' is listed twice")
        benchmarks[benchmark["id"]] = benchmark
    created_at = int(path.stat().st_mtime) * 1_000_000
    return Provider(str(entry["id"]), config, path.parent, created_at, benchmarks)


def _read(path: Path) -> dict[str, Any]:
    try:
        entry = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogueInvalid(path=path, problem=" ".join(str(error).split())) from error
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not entry["id"]:
        raise CatalogueInvalid(path=path, problem="it must be a mapping with a non-empty `id`")
    return entry


def _normalise(shape: shapes.Object, root: str, path: Path, entry: dict[str, Any]) -> dict[str, Any]:
    try:
        return shapes.read(shape, root, entry)
    except AssayError as error:
        raise CatalogueInvalid(path=path, problem=str(error.details.get("error", error))) from error
