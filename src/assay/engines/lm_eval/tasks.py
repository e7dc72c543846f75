"""lm_eval's own task names, known from the index made at install."""

from __future__ import annotations

import difflib
from functools import lru_cache
from pathlib import Path

from assay.engines.environments import Environment
from assay.engines.lm_eval.inside.task_index import TaskIndex


def known_task(env: Environment, name: str) -> bool:
    """Whether `name` is a task, group or tag that lm_eval brings with it."""
    return name in _index(env.task_index, env.task_index.stat().st_mtime_ns)


def close_tasks(env: Environment, name: str) -> list[str]:
    """Return up to three known names that look like `name`."""
    index = _index(env.task_index, env.task_index.stat().st_mtime_ns)
    return difflib.get_close_matches(name, list(index.names), n=3, cutoff=0.6)


@lru_cache(maxsize=2)
def _index(path: Path, _changed_at: int) -> TaskIndex:
    return TaskIndex.load(path)
