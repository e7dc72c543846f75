"""PATCH bodies: RFC 6902 operations within a white-list, and RFC 7386 merge patches as the same operations."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from assay.model.errors import InvalidJson, InvalidPatchOperation, PatchNotAllowed
from assay.model.shapes import Shape, spelled

OPERATIONS: Final = ("replace", "add", "remove")
_MERGE: Final = "merge"
"""The operation that a member of a merge patch is; nobody can send it as one."""
_MOST_OPERATIONS: Final = 1000
_LONGEST_PATH: Final = 1000
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True)
class Allowed:
    """Which operations a path permits; `below` extends that to everything under it."""

    operations: frozenset[str]
    below: bool = False


class Rules(dict[str, Allowed]):
    """Which operations each path permits."""

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        """Return the JSON Schema of a patch within these rules, of either kind."""
        paths = "|".join(re.escape(path) + ("(/.*)?" if allowed.below else "") for path, allowed in self.items())
        operation = {
            "type": "object",
            "properties": {
                "op": {"type": "string", "enum": list(OPERATIONS)},
                "path": {"type": "string", "maxLength": _LONGEST_PATH, "pattern": f"^(?:{paths})$"},
                "value": {},
            },
            "required": ["op", "path"],
        }
        members = [path.removeprefix("/") for path in self]
        return {
            "anyOf": [
                {"type": "array", "items": operation, "maxItems": _MOST_OPERATIONS},
                {"type": "object", "propertyNames": {"enum": members}},
            ]
        }


_ALL: Final = frozenset(OPERATIONS)
_REPLACE: Final = frozenset({"replace"})

PROVIDER_RULES: Final = Rules(
    {
        "/name": Allowed(_REPLACE),
        "/title": Allowed(_ALL),
        "/description": Allowed(_ALL),
        "/tags": Allowed(_ALL, below=True),
        "/custom": Allowed(_ALL, below=True),
        "/agent": Allowed(_ALL, below=True),
        "/runtime": Allowed(_REPLACE, below=True),
        "/benchmarks": Allowed(_REPLACE, below=True),
    }
)
COLLECTION_RULES: Final = Rules(
    {
        "/name": Allowed(_REPLACE),
        "/category": Allowed(_REPLACE),
        "/description": Allowed(_ALL),
        "/pass_criteria": Allowed(_ALL),
        "/tags": Allowed(_ALL, below=True),
        "/custom": Allowed(_ALL, below=True),
        "/benchmarks": Allowed(_REPLACE, below=True),
        "/pinned_order": Allowed(frozenset({"replace", "add"})),
        **{
            f"/{name}": Allowed(_ALL, below=True)
            for name in ("domains", "tasks", "modalities", "industries", "evaluation_targets")
        },
    }
)


@dataclass(frozen=True)
class Operation:
    """One checked operation."""

    op: str
    path: str
    value: Any = None


def read(body: Any, rules: Rules) -> list[Operation]:
    """Return the operations of a body: an array of RFC 6902 operations, or an object as an RFC 7386 merge patch.

    Raises InvalidJson, InvalidPatchOperation, PatchNotAllowed; all operations are checked before any is applied.
    """
    if body is None:
        return []
    if not isinstance(body, dict | list):
        raise InvalidJson(error="a patch is an array of operations, or an object whose members replace the resource's")
    if len(body) > _MOST_OPERATIONS:
        raise InvalidJson(error=f"a patch has at most {_MOST_OPERATIONS} operations")
    if isinstance(body, dict):
        return [_merging(name, value, rules) for name, value in body.items()]
    return [_operation(entry, rules) for entry in body]


def _operation(entry: Any, rules: Rules) -> Operation:
    if not isinstance(entry, dict | None):
        raise InvalidJson(error="each patch operation is an object with op, path and value")
    given = {name.lower(): value for name, value in (entry or {}).items()}
    op, path = given.get("op"), given.get("path")
    if not isinstance(op, str | None):
        raise InvalidJson(error="op: expected string")
    op = op or ""
    if op not in OPERATIONS:
        raise InvalidPatchOperation(op=op)
    if not isinstance(path, str) or not path or len(path) > _LONGEST_PATH:
        raise InvalidJson(error="Invalid patch path")
    if op not in _allowed(path, rules):
        raise PatchNotAllowed(op=op, path=path)
    return Operation(op, path, given.get("value"))


def _merging(name: str, value: Any, rules: Rules) -> Operation:
    """Return a member of a merge patch, which says what the member shall be: whether that adds or replaces is all one."""
    path = f"/{_escape(name)}"
    if not _allowed(path, rules) & ({"remove"} if value is None else {"replace", "add"}):
        raise PatchNotAllowed(op="remove" if value is None else "add", path=path)
    return Operation(_MERGE, path, value)


def _allowed(path: str, rules: Rules) -> frozenset[str]:
    for known, allowed in rules.items():
        if path == known or (allowed.below and path.startswith(known + "/")):
            return allowed.operations
    return frozenset()


def apply(shape: Shape, document: dict[str, Any], operations: list[Operation]) -> dict[str, Any]:
    """Return a changed copy of `document`, which is a normalised value of `shape`; a path may spell members otherwise.

    Raises InvalidJson for an operation that does not apply.
    """
    changed: dict[str, Any] = copy.deepcopy(document)
    for asked in operations:
        operation = replace(asked, path=spelled(shape, asked.path))
        parent, key = _parent(changed, operation)
        if operation.op == _MERGE:
            _merge(parent, key, operation.value)
        else:
            _change(parent, key, operation)
    return changed


def _merge(document: dict[str, Any], key: str, value: Any) -> None:
    """Merge a member as RFC 7386 says: null removes, objects merge, everything else replaces."""
    if value is None:
        document.pop(key, None)
    elif isinstance(value, dict):
        if not isinstance(document.get(key), dict):
            document[key] = {}
        for name, item in value.items():
            _merge(document[key], name, item)
    else:
        document[key] = value


def _parent(document: Any, operation: Operation) -> tuple[Any, str]:
    *steps, last = (_unescape(step) for step in operation.path.removeprefix("/").split("/"))
    here = document
    for step in steps:
        try:
            here = here[_index(step)] if isinstance(here, list) else here[step]
        except (KeyError, IndexError, TypeError):
            raise _missing(operation) from None
    return here, last


def _change(parent: Any, key: str, operation: Operation) -> None:
    apply_to: Callable[[Any, str, Operation], None]
    if isinstance(parent, dict):
        apply_to = _change_member
    elif isinstance(parent, list):
        apply_to = _change_item
    else:
        raise _missing(operation)
    apply_to(parent, key, operation)


def _change_member(parent: dict[str, Any], key: str, operation: Operation) -> None:
    if operation.op != "remove":
        parent[key] = operation.value
    elif key in parent:
        del parent[key]
    else:
        problem = f"Unable to remove nonexistent key: {key}: missing value"
        raise InvalidJson(error=f"error in remove for path: '{operation.path}': {problem}")


def _change_item(parent: list[Any], key: str, operation: Operation) -> None:
    if key == "-" and operation.op == "add":
        parent.append(operation.value)
        return
    index = _index(key)
    if not index < len(parent) + (operation.op == "add"):
        if operation.op == "replace":
            raise _inapplicable(operation, f"doc is missing key: {operation.path}")
        problem = f"Unable to access invalid index: {key}: invalid index referenced"
        raise InvalidJson(error=f"error in {operation.op} for path: '{operation.path}': {problem}")
    if operation.op == "add":
        parent.insert(index, operation.value)
    elif operation.op == "replace":
        parent[index] = operation.value
    else:
        del parent[index]


def _missing(operation: Operation) -> InvalidJson:
    path = operation.path if operation.op == "replace" else f'"{operation.path}"'
    return _inapplicable(operation, f"doc is missing path: {path}")


def _index(step: str) -> int:
    """Return the index that a step of a path names (RFC 6901, 4); one beyond every list for what is none."""
    return int(step) if _INDEX.fullmatch(step) else sys.maxsize


def _inapplicable(operation: Operation, problem: str) -> InvalidJson:
    return InvalidJson(error=f"{operation.op} operation does not apply: {problem}: missing value")


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _unescape(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")
