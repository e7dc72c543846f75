"""The index of lm_eval's own tasks: made once at install, read by every run.

lm_eval finds a task by parsing about 14,000 YAML files (6 CPU seconds). The index keeps what that yields: for
each name of a task, group or tag, its YAML file (relative to the library's task folder) and the names it
consists of. A run then parses only the files it needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One name: its kind (`task`, `group`, `tag`), its YAML file (None for a tag), and the names it
    consists of.
    """

    kind: str
    path: str | None
    members: tuple[str, ...]


class TaskIndex:
    """The names that lm_eval brings with it. `root` is the library's task folder."""

    def __init__(self, root: Path, entries: dict[str, list[Any]]) -> None:
        self.root = root
        self._entries = entries

    @classmethod
    def load(cls, path: Path) -> TaskIndex:
        """Read an index file; raises OSError or ValueError."""
        document = json.loads(path.read_bytes())
        return cls(Path(document["root"]), document["names"])

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    @property
    def names(self) -> Iterable[str]:
        """Every name."""
        return self._entries.keys()

    def get(self, name: str) -> Entry | None:
        """Return the entry of `name`."""
        found = self._entries.get(name)
        return Entry(found[0], found[1], tuple(found[2])) if found else None

    def closure(self, names: Iterable[str]) -> dict[str, Entry]:
        """Return the entries of `names` and of everything they consist of, unknown names left out."""
        found: dict[str, Entry] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            entry = self.get(name)
            if entry and name not in found:
                found[name] = entry
                waiting.extend(entry.members)
        return found


def member_names(config: dict[str, Any]) -> list[str]:
    """Return the names that a group's configuration lists under `task`, those of inline groups included."""
    names: list[str] = []
    listed = config.get("task")
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, str):
            names.append(item)
        elif isinstance(item, dict):
            names.extend(item[key] for key in ("task", "group") if isinstance(item.get(key), str))
            names.extend(member_names(item))
    return names


def build() -> dict[str, Any]:
    """Return the index document, made by lm_eval's own TaskManager."""
    import lm_eval.tasks
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._index import Kind

    root = Path(lm_eval.tasks.__file__).parent
    kinds = {Kind.GROUP: "group", Kind.TAG: "tag"}
    names: dict[str, list[Any]] = {}
    for name, entry in sorted(TaskManager().task_index.items()):
        kind = kinds.get(entry.kind, "task")
        path = str(Path(entry.yaml_path).relative_to(root)) if entry.yaml_path else None
        members = sorted(entry.tags) if kind == "tag" else member_names(entry.cfg or {}) if kind == "group" else []
        names[name] = [kind, path, members]
    return {"root": str(root), "names": names}


def main(arguments: list[str]) -> int:
    """Write the index to the file named by the only argument."""
    Path(arguments[0]).write_text(json.dumps(build(), separators=(",", ":")), encoding="utf-8")
    return 0
