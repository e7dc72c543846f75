"""Stands in front of `datasets.load_dataset`: checks local files first and says in plain words why data
cannot be had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
from datasets.exceptions import DatasetNotFoundError

from .datafiles import LOCAL_FORMATS, BadData, count_objects, local_files, readable
from .failures import RunFailed


def install(*, online: bool, moved: Sequence[str] | None = None) -> None:
    """Put the guard in place for the life of this process.

    Local files whose absolute path begins with the first of two folders `moved` are read from the second.
    """
    load = datasets.load_dataset

    def load_dataset(path: Any = None, name: Any = None, **options: Any) -> Any:
        if moved:
            path = _here(path, *moved)
            options |= {key: _here(options[key], *moved) for key in ("data_files", "data_dir") if key in options}
        check(path, options)
        files = list(local_files(options.get("data_files"), options.get("data_dir")))
        if path in LOCAL_FORMATS and files:
            options.setdefault("cache_dir", _cache_of(files))
        try:
            return load(path, name, **options)
        except RunFailed:
            raise
        except Exception as error:
            raise explain(str(path), name, options, error, online=online) from error

    datasets.load_dataset = load_dataset


def _here(value: Any, before: str, now: str) -> Any:
    """Return a path, or all paths of a `data_files`, as they are on this machine."""
    if isinstance(value, dict):
        return {key: _here(item, before, now) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_here(item, before, now) for item in value]
    if isinstance(value, str) and value.startswith(before.rstrip("/") + "/"):
        return now.rstrip("/") + value[len(before.rstrip("/")) :]
    return value


def check(path: Any, options: dict[str, Any]) -> None:
    """Check the local data files that a call names; raises RunFailed (`dataset_missing`, `bad_dataset`)."""
    if path not in LOCAL_FORMATS:
        return
    for file in local_files(options.get("data_files"), options.get("data_dir")):
        if not file.exists():
            raise RunFailed(
                "dataset_missing",
                f"The data file {file.absolute()} does not exist. Put it there, or correct data_files in the "
                "task file (relative paths start at the task folder).",
            )
        if path == "json" and readable(file):
            try:
                count_objects(file, options.get("field"))
            except BadData as error:
                raise RunFailed("bad_dataset", f"{error}.") from error
            except OSError as error:
                raise RunFailed("bad_dataset", f"The data file {file} cannot be read: {error.strerror}.") from error


def _cache_of(files: list[Path]) -> str:
    """The cache folder for these very contents; the library tells files apart by path and time alone."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return str(Path(datasets.config.HF_DATASETS_CACHE, f"local-{digest.hexdigest()[:32]}"))


def explain(path: str, name: Any, options: dict[str, Any], error: Exception, *, online: bool) -> RunFailed:
    """Return the failure that a library's exception stands for."""
    title = f"{path}/{name}" if name else path
    local = path in LOCAL_FORMATS or Path(path).exists()
    if local:
        names = ", ".join(str(file) for file in local_files(options.get("data_files"))) or path
        if isinstance(error, FileNotFoundError):
            return RunFailed("dataset_missing", f"Data files are missing: {_first_line(error)}.")
        cause = error.__cause__ or error
        return RunFailed("bad_dataset", f"The data in {names} cannot be used: {_first_line(cause)}.")
    if not online and isinstance(error, OSError | DatasetNotFoundError | ValueError):
        return RunFailed(
            "needs_network",
            f"The data set '{title}' is not on this machine, and this run may not use the network. "
            "Set the parameter allow_online to true, or put the data set into the engine's cache first.",
        )
    if isinstance(error, DatasetNotFoundError):
        return RunFailed(
            "dataset_missing",
            f"The data set '{title}' does not exist or needs a licence: {_first_line(error)}.",
        )
    if isinstance(error, OSError):
        return RunFailed(
            "dataset_unreachable",
            f"The data set '{title}' cannot be fetched: {_first_line(error)}.",
            temporary=True,
        )
    return RunFailed("bad_dataset", f"The data set '{title}' cannot be loaded: {_first_line(error)}.")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
