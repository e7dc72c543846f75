"""Runs inside lm_eval's environment: prints what the library's own files say of tasks.

`python tools/lm_eval_configurations.py INDEX NAME...` prints one JSON object: name to `output_types`, `num_fewshot`,
`metrics` (pairs of name and whether higher is better, of the group itself where it aggregates), `unsafe_code`, and
`problem` (why its files cannot be loaded, for instance a package that the environment lacks).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lm_eval.tasks._yaml_loader import load_yaml


def main(arguments: list[str]) -> None:
    """Print the object."""
    document = json.loads(Path(arguments[0]).read_bytes())
    root, names = Path(document["root"]), document["names"]
    json.dump({name: _described(root, names, name) for name in arguments[1:]}, sys.stdout)


def _described(root: Path, names: dict[str, list[Any]], name: str) -> dict[str, Any]:
    problem = ""
    try:
        own, leaves = _files(root, names, name, functions=True)
    except Exception as error:  # what a task's own Python raises may be anything
        problem = " ".join(f"{type(error).__name__}: {error}".split())
        own, leaves = _files(root, names, name, functions=False)
    first, kind = leaves[0], names[name][0]
    return {
        "output_types": sorted({_output_type(leaf) for leaf in leaves}),
        "num_fewshot": shots if isinstance(shots := first.get("num_fewshot"), int) else 0,
        "metrics": _aggregated(own, first) if kind == "group" else _metrics(first),
        "kind": kind,
        "unsafe_code": any(bool(leaf.get("unsafe_code")) for leaf in leaves),
        "problem": problem,
    }


def _files(
    root: Path, names: dict[str, list[Any]], name: str, *, functions: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the file of a group and those of its tasks; with `functions`, the Python that they name is imported."""
    kind, path, _ = names[name]
    leaves = [_loaded(root, names[leaf][1], functions) for leaf in _leaves(names, name)]
    return (_loaded(root, path, functions) if kind == "group" else {}), leaves


def _output_type(leaf: dict[str, Any]) -> str:
    if "class" in leaf:
        return str(getattr(leaf["class"], "OUTPUT_TYPE", "") or "generate_until")
    return str(leaf.get("output_type") or "generate_until")


def _leaves(names: dict[str, list[Any]], name: str, depth: int = 0) -> list[str]:
    """Return up to a few tasks of each group, which share one template."""
    kind, _path, members = names.get(name, ["", None, []])
    if kind == "task":
        return [name]
    found = []
    for member in members[:3] if depth else members:
        found += _leaves(names, member, depth + 1) if member != name else []
    return found


def _loaded(root: Path, path: str, functions: bool) -> dict[str, Any]:
    loaded = load_yaml(root / path, resolve_func=functions)
    return dict(loaded) if isinstance(loaded, dict) else {}


def _metrics(leaf: dict[str, Any]) -> list[list[Any]]:
    found: dict[str, bool] = {}
    for entry in leaf.get("metric_list") or []:
        found.setdefault(_name(entry["metric"]), bool(entry.get("higher_is_better", True)))
    return [list(item) for item in found.items()]


def _name(metric: Any) -> str:
    return metric if isinstance(metric, str) else str(metric.__name__)


def _aggregated(own: dict[str, Any], first: dict[str, Any]) -> list[list[Any]]:
    direction = dict(map(tuple, _metrics(first)))
    listed = own.get("aggregate_metric_list") or []
    names = [_name(entry["metric"]) for entry in (listed if isinstance(listed, list) else [listed])]
    return [[name, direction.get(name, True)] for name in dict.fromkeys(names)]


if __name__ == "__main__":
    main(sys.argv[1:])
