"""Bodies to change, and the texts of broken rules."""

from __future__ import annotations

import copy
from typing import Any

REMOVED = object()
"""Stands for: take the member away."""


def changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with the member at each dotted path set to another value, or REMOVED."""
    body = copy.deepcopy(base)
    for path, value in changes.items():
        *steps, last = path.split(".")
        at: Any = body
        for step in steps:
            at = at[int(step)] if isinstance(at, list) else at[step]
        if value is REMOVED:
            del at[last]
        else:
            at[last] = value
    return body


def failed(root: str, *lines: tuple[str, str] | tuple[str, str, str]) -> str:
    """The text of broken rules: (path, tag), or (path, field, tag) where the field is not the path's last name."""
    out = []
    for path, *rest in lines:
        field, tag = rest if len(rest) == 2 else (path.rpartition(".")[2], rest[0])
        out.append(f"Key: '{root}.{path}' Error:Field validation for '{field}' failed on the '{tag}' tag")
    return "\n".join(out)
