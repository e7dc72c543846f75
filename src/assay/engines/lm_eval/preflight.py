"""Checks a task folder before anything is queued: would the task be found, and are its data there and
readable?

Needs no lm_eval, so the server can do it at submit. It finds what can be known from the files alone; the
driver finds the rest.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.engines.lm_eval.inside.datafiles import (
    LOCAL_FORMATS,
    BadData,
    count_objects,
    local_files,
    readable,
)
from assay.engines.lm_eval.inside.task_index import member_names
from assay.engines.lm_eval.task_yaml import BadTaskFile, TaskFile, read_task_file, task_files


@dataclass(frozen=True)
class Problem:
    """Why a task cannot run. `field` is `include_path` or `task`, `code` is stable, `message` says what to
    do.
    """

    field: str
    code: str
    message: str


@dataclass(frozen=True)
class Checked:
    """A task whose files are in order.

    `samples` is the size of its data, None where that cannot be known from local files. `digests` holds
    `sha256:<hex>` of every local file that the run reads, by absolute path. `files` are these, and what else lies
    beside the Python files of tasks, which may read it. `library_tasks` are the members
    that come from lm_eval itself, `remote_datasets` the data sets that are not files.
    """

    task: str
    kind: str
    samples: int | None
    output_types: frozenset[str]
    digests: dict[str, str]
    files: tuple[str, ...] = ()
    library_tasks: tuple[str, ...] = ()
    remote_datasets: tuple[str, ...] = ()


def check(include_path: Path, task: str, *, known: Callable[[str], bool] = lambda name: False) -> Checked | list[Problem]:
    """Check the task, group or tag `task` of the folder `include_path`; relative data paths start there.

    `known` says whether a name is one of lm_eval's own. Returns every problem found, the first of each data
    file.
    """
    if not include_path.is_dir():
        remedy = "Give the absolute path of a folder of task files"
        message = f"The task folder {include_path} does not exist. {remedy}."
        return [Problem("include_path", "bad_task_file", message)]
    folder = _Folder.read(include_path)
    members, missing, library = folder.closure(task, known)
    if not members and not library:
        return [folder.unknown(task)]
    survey = _Survey(include_path)
    for group, name in missing:
        message = f"The group '{group}' lists a task '{name}', which does not exist."
        survey.problems.append(Problem("task", "unknown_task", message))
    for member in members:
        survey.look_at(member)
    if survey.problems:
        return survey.problems
    kind = folder.files[task].kind if task in folder.files else "tag" if members else "library"
    samples = None if library or survey.uncounted else survey.samples
    return Checked(
        task,
        kind,
        samples,
        frozenset(survey.output_types),
        {str(path): _digest(path) for path in sorted(survey.sources)},
        tuple(map(str, sorted(survey.sources | _beside_code(survey.sources)))),
        tuple(library),
        tuple(dict.fromkeys(survey.remote)),
    )


@dataclass
class _Folder:
    """The task files of a folder, by name, and what is wrong with those that cannot be read."""

    path: Path
    files: dict[str, TaskFile] = field(default_factory=dict)
    broken: list[BadTaskFile] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> _Folder:
        folder = cls(path)
        for file in task_files(path):
            try:
                found = read_task_file(file)
            except BadTaskFile as error:
                folder.broken.append(error)
            else:
                if found.name:
                    folder.files.setdefault(found.name, found)
        return folder

    def closure(self, task: str, known: Callable[[str], bool]) -> tuple[list[TaskFile], list[tuple[str, str]], list[str]]:
        """Return the files that `task` consists of, the (group, member) names nobody has, and lm_eval's
        own names.
        """
        found: dict[str, TaskFile] = {}
        missing: list[tuple[str, str]] = []
        library: list[str] = []
        waiting = [("", task)]
        while waiting:
            group, name = waiting.pop(0)
            file = self.files.get(name)
            tagged = [other.name for other in self.files.values() if name in other.tags]
            if file is None and tagged:
                waiting += [(name, other) for other in tagged]
            elif file is None and known(name):
                library.append(name)
            elif file is None:
                missing.append((group, name))
            elif name not in found:
                found[name] = file
                if file.kind == "group":
                    waiting += [(name, member) for member in member_names(file.config)]
        # A mapping in a group may define its task on the spot; then its name is not one to be found.
        missing = [(g, name) for g, name in missing if g and name in _plain_members(self.files, g)]
        return list(found.values()), missing, library

    def unknown(self, task: str) -> Problem:
        if self.broken:
            return Problem("include_path", "bad_task_file", str(self.broken[0]))
        close = difflib.get_close_matches(task, self.files, n=3, cutoff=0.6)
        hint = f" Did you mean {' or '.join(close)}?" if close else f" The folder has: {', '.join(sorted(self.files)[:8])}."
        message = f"There is no task, group or tag '{task}' in {self.path} or among lm_eval's own tasks.{hint}"
        return Problem("task", "unknown_task", message)


def _plain_members(files: dict[str, TaskFile], group: str) -> list[str]:
    listed = files[group].config.get("task") if group in files else None
    return [item for item in listed if isinstance(item, str)] if isinstance(listed, list) else []


@dataclass
class _Survey:
    """What the tasks of a run read, gathered file by file."""

    folder: Path
    problems: list[Problem] = field(default_factory=list)
    sources: set[Path] = field(default_factory=set)
    output_types: set[str] = field(default_factory=set)
    remote: list[str] = field(default_factory=list)
    samples: int = 0
    uncounted: bool = False

    def look_at(self, file: TaskFile) -> None:
        self.sources |= file.sources
        config = file.config
        if file.kind != "task":
            return
        if isinstance(kind := config.get("output_type"), str):
            self.output_types.add(kind)
        dataset = config.get("dataset_path")
        if not isinstance(dataset, str):
            self.uncounted = True
        elif dataset in LOCAL_FORMATS:
            options = config.get("dataset_kwargs")
            self._look_at_data(file, dataset, options if isinstance(options, dict) else {})
        else:
            self.uncounted = True
            if not (self.folder / dataset).exists():
                self.remote.append(dataset)
            else:
                self.sources |= _below(self.folder / dataset)

    def _look_at_data(self, file: TaskFile, kind: str, options: dict[str, Any]) -> None:
        data_files, directory = options.get("data_files"), options.get("data_dir")
        split = file.config.get("test_split") or file.config.get("validation_split")
        if isinstance(data_files, dict) and split not in data_files:
            splits = ", ".join(map(str, data_files)) or "none"
            message = f"The task file {file.path} evaluates the split '{split}', but data_files has only: {splits}."
            self.problems.append(Problem("include_path", "bad_task_file", message))
            return
        evaluated = set(local_files(data_files[split] if isinstance(data_files, dict) else data_files, directory))
        if not evaluated:
            self.uncounted = True
        if data_files is None and isinstance(directory, str):
            self.sources |= _below(self.folder / directory)
        for name in dict.fromkeys(local_files(data_files, directory)):
            counted = self._read(self.folder / name, kind, options.get("field"))
            if counted is None:
                self.uncounted = True
            elif name in evaluated:
                self.samples += counted

    def _read(self, path: Path, kind: str, member: str | None) -> int | None:
        if not path.is_file():
            message = (
                f"The data file {path} does not exist. Put it there, or correct data_files in the task file "
                "(relative paths start at the task folder)."
            )
            self.problems.append(Problem("include_path", "dataset_missing", message))
            return None
        self.sources.add(path)
        if kind != "json" or not readable(path):
            return None
        try:
            return count_objects(path, member)
        except BadData as error:
            self.problems.append(Problem("include_path", "bad_dataset", f"{error}."))
        except OSError as error:
            message = f"The data file {path} cannot be read: {error.strerror}."
            self.problems.append(Problem("include_path", "bad_dataset", message))
        return None


def _below(path: Path) -> set[Path]:
    """Return a file, or all files below a folder but what is hidden."""
    if path.is_file():
        return {path}
    found = (file for file in path.rglob("*") if not any(part.startswith(".") for part in file.relative_to(path).parts))
    return {file for file in found if file.is_file() and "__pycache__" not in file.parts}


def _beside_code(sources: set[Path]) -> set[Path]:
    folders = {path.parent for path in sources if path.suffix == ".py"}
    return set().union(*(_below(folder) for folder in folders)) if folders else set()


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
