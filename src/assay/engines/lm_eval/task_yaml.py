"""Reads lm_eval task files without lm_eval: functions stay names, included files are merged in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from assay.config.yaml_text import parsed

_SKIPPED_FOLDERS = frozenset({"__pycache__", ".ipynb_checkpoints"})


class BadTaskFile(Exception):
    """A task file is not usable; `line` counts from 1 and is None where no single line is to blame."""

    def __init__(self, path: Path, line: int | None, problem: str) -> None:
        where = f"{path}, line {line}" if line else str(path)
        super().__init__(f"The task file {where} {problem}")
        self.path = path
        self.line = line


class FunctionName(str):
    """The value of a `!function` tag: `module.name`, the module a file beside the task file or an
    installed one.
    """

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    pass


def _function(loader: yaml.SafeLoader, node: Any) -> FunctionName:
    return FunctionName(loader.construct_scalar(node))


_Loader.add_constructor("!function", _function)


@dataclass(frozen=True)
class TaskFile:
    """One task file with what it includes. `sources` are all files that its meaning depends on, Python
    files among them.
    """

    path: Path
    config: dict[str, Any]
    sources: frozenset[Path]

    @property
    def kind(self) -> str:
        """`group`, `task`, or empty for a file that others include."""
        if "class" in self.config:
            return "task"
        return "group" if "group" in self.config else "task" if "task" in self.config else ""

    @property
    def name(self) -> str:
        """What a run calls it."""
        name = self.config.get("group" if self.kind == "group" else "task")
        return name if isinstance(name, str) else ""

    @property
    def tags(self) -> frozenset[str]:
        """The tags it carries."""
        tags = self.config.get("tag") or []
        return frozenset([tags] if isinstance(tags, str) else tags)


def task_files(folder: Path) -> Iterator[Path]:
    """Yield the task files under `folder` in the order in which lm_eval takes them."""
    found = (path for path in folder.glob("**/*.yaml") if not _SKIPPED_FOLDERS & set(path.parts))
    yield from sorted(found, key=Path.as_posix)


def read_task_file(path: Path, *, _seen: frozenset[Path] = frozenset()) -> TaskFile:
    """Read one task file; raises BadTaskFile."""
    as_named, path = path.absolute(), path.resolve()
    if path in _seen:
        raise BadTaskFile(path, None, "includes itself.")
    try:
        config = parsed(path.read_bytes(), _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadTaskFile(path, mark.line + 1 if mark else None, f"is not valid YAML: {error.problem}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadTaskFile(path, None, f"is not valid YAML: {error}.") from error
    except OSError as error:
        raise BadTaskFile(path, None, f"cannot be read: {error.strerror}.") from error
    if not isinstance(config, dict):
        raise BadTaskFile(path, None, "does not hold a mapping.")
    merged: dict[str, Any] = {}
    sources = {as_named, path, *_modules(config, path.parent)}
    included = config.pop("include", None) or []
    for name in [included] if isinstance(included, str) else included:
        inner = read_task_file(path.parent / str(name), _seen=_seen | {path})
        sources |= inner.sources
        merged |= {key: value for key, value in inner.config.items() if key != "task_list"}
    return TaskFile(path, merged | config, frozenset(sources))


def _modules(value: Any, folder: Path) -> Iterator[Path]:
    """The Python files beside a task file that its functions come from."""
    if isinstance(value, FunctionName):
        path = folder / f"{value.rpartition('.')[0].replace('.', '/')}.py"
        if path.is_file():
            yield path
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _modules(inner, folder)
    elif isinstance(value, list):
        for inner in value:
            yield from _modules(inner, folder)
