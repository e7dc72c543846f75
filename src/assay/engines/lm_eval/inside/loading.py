"""Finds the tasks of a run and loads them with their data, turning what can go wrong into sentences with a
file and a line.
"""

from __future__ import annotations

import difflib
import traceback
from pathlib import Path
from typing import Any

import yaml
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import TaskIndex as LibraryIndex
from lm_eval.tasks._yaml_loader import load_yaml

from .failures import RunFailed
from .spec import RunSpec
from .task_index import TaskIndex, member_names


def load(spec: RunSpec, index: TaskIndex | None) -> dict[str, Any]:
    """Return lm_eval's loaded tasks and groups of `spec`. Raises RunFailed."""
    folder = Path(spec.include_path) if spec.include_path else None
    if folder and not folder.is_dir():
        raise RunFailed("bad_task_file", f"The task folder {folder} does not exist.")
    known = TaskManager(
        include_path=str(folder) if folder else None,
        include_defaults=False,
        metadata={"model": spec.model, "max_length": spec.max_length, **spec.metadata},
    )
    _add_library_tasks(known, spec.task, index)
    if spec.task not in known.task_index:
        raise _unknown(spec.task, known, folder, index)
    _check_members(spec.task, known.task_index, set())
    try:
        return dict(known.load([spec.task]))
    except RunFailed:
        raise
    except Exception as error:
        traceback.print_exc()
        raise _unloadable(spec.task, known, error) from error


def _add_library_tasks(known: TaskManager, name: str, index: TaskIndex | None) -> None:
    """Add the library's own tasks that `name` consists of; names in the user's folder come first."""
    if index is None:
        return
    registry = known.task_index
    entry = registry.get(name)
    wanted = [name]
    if entry:
        wanted = [member for member in _members(name, registry) if member not in registry]
    for found in index.closure(wanted).values():
        if found.path:
            path = index.root / found.path
            fresh: dict[str, Any] = {}
            LibraryIndex.process_cfg(load_yaml(path, resolve_func=False), path, fresh)
            for fresh_name, fresh_entry in fresh.items():
                mine = registry.setdefault(fresh_name, fresh_entry)
                if mine is not fresh_entry:
                    mine.tags |= fresh_entry.tags


def _members(name: str, registry: dict[str, Any]) -> list[str]:
    found: list[str] = []
    waiting = [name]
    while waiting:
        entry = registry.get(waiting.pop())
        for member in member_names((entry.cfg if entry else None) or {}):
            if member not in found:
                found.append(member)
                waiting.append(member)
    return found


def _check_members(name: str, registry: dict[str, Any], seen: set[str]) -> None:
    """Refuse a group that lists a name nobody knows; the library would take it for the definition of an
    empty task.
    """
    entry = registry.get(name)
    if entry is None or name in seen:
        return
    seen.add(name)
    listed = (entry.cfg or {}).get("task")
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, str) and item not in registry:
            raise RunFailed(
                "unknown_task",
                f"The group '{name}' ({entry.yaml_path}) lists a task '{item}', which does not exist.",
            )
    for member in member_names(entry.cfg or {}):
        _check_members(member, registry, seen)


def _unknown(name: str, known: TaskManager, folder: Path | None, index: TaskIndex | None) -> RunFailed:
    if folder and (broken := _broken_file(folder)):
        return RunFailed("bad_task_file", f"{broken} Task '{name}' was not found in the other files of the folder.")
    names = [*known.task_index, *(index.names if index else ())]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    where = f" in {folder} or among lm_eval's own tasks" if folder else " among lm_eval's own tasks"
    return RunFailed("unknown_task", f"There is no task, group or tag '{name}'{where}.{hint}")


def _broken_file(folder: Path) -> str | None:
    for path in sorted(folder.glob("**/*.yaml")):
        try:
            load_yaml(path, resolve_func=False)
        except yaml.YAMLError as error:
            return describe_yaml_error(path, error)
        except (OSError, ValueError) as error:
            return f"The task file {path} cannot be used: {str(error).splitlines()[0]}."
    return None


def describe_yaml_error(path: Path, error: yaml.YAMLError) -> str:
    """Return a sentence that names the file and line of a YAML mistake."""
    mark = getattr(error, "problem_mark", None)
    where = f"{path}, line {mark.line + 1}" if mark else str(path)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"The task file {where} is not valid YAML: {problem}."


def _unloadable(name: str, known: TaskManager, error: Exception) -> RunFailed:
    entry = known.task_index.get(name)
    where = f" ({entry.yaml_path})" if entry and entry.yaml_path else ""
    if isinstance(error, yaml.YAMLError) and entry and entry.yaml_path:
        return RunFailed("bad_task_file", describe_yaml_error(entry.yaml_path, error))
    reason = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {reason[0]}" if reason else type(error).__name__
    return RunFailed("bad_task_file", f"Task '{name}'{where} cannot be loaded: {said}. See the log of the run for details.")
