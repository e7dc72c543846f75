"""A small language for the shapes of JSON bodies: one description gives reading, checking, normalising and the OpenAPI
schema.

Reading follows the EvalHub contract: members match without regard to case, `null` is absent, unknown members are dropped, a
wrong JSON type is an error at once, and all broken rules are reported together, in the order of the members. What comes
out is normalised: members in the order of the shape, free-form objects sorted, empty optional members left out.

A shape has two JSON Schemas: of what is read, where optional members may be null, and of what is written, where members
are left out rather than null.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from assay.model.errors import InvalidJson, ValidationFailed


class Failure(NamedTuple):
    """A broken rule: where (`path` below the root, `field`), which (`tag`), and the text that replaces the list, if any."""

    path: str
    field: str
    tag: str
    text: str = ""


class Shape(Protocol):
    """A JSON value of some kind."""

    def read(self, value: Any, path: str, failures: list[Failure]) -> Any:
        """Return the normalised value; append broken rules. Raises InvalidJson for a wrong JSON type."""
        ...

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        """Return the JSON Schema of the value as it is read, or as it is written."""
        ...


Rule = Callable[[Any], bool]
ObjectRule = Callable[[dict[str, Any]], list[Failure]]


def _wrong(path: str, expected: str, value: Any) -> InvalidJson:
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return InvalidJson(error=f"{path}: expected {expected}, found {kinds.get(type(value), 'null')}")


def _name(path: str) -> str:
    return path.rpartition(".")[2]


@dataclass(frozen=True)
class Text:
    """A string. `checks` are (tag, rule) pairs for non-empty values; `one_of` lists the permitted ones.

    A NUL character, which no database keeps as text, is refused but in `printed` text: what a program has printed.
    """

    least: int = 0
    most: int = 0
    checks: Sequence[tuple[str, Rule]] = ()
    one_of: Sequence[str] = ()
    empty: bool = True
    """Whether the empty text is as good as one of these, as where an optional member may be empty; not in a list."""
    format: str = ""
    printed: bool = False
    pattern: str = ""
    """What the whole text matches, for the documentation; one of `checks` holds it."""

    def read(self, value: Any, path: str, failures: list[Failure]) -> str:
        if not isinstance(value, str):
            raise _wrong(path, "string", value)
        name = _name(path)
        if "\0" in value and not self.printed:
            failures.append(Failure(path, name, "nul", f"{path} must not hold NUL characters (\\u0000)"))
        if self.most and len(value) > self.most:
            failures.append(Failure(path, name, "max"))
        if self.one_of and (value or not self.empty) and value not in self.one_of:
            failures.append(Failure(path, name, "oneof", f"{name} must be one of: {', '.join(self.one_of)}"))
        for tag, rule in self.checks:
            if (value or tag in _EVEN_EMPTY) and not rule(value):
                failures.append(Failure(path, name, tag, _SPECIAL.get(tag, "")))
                break
        return value

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        out: dict[str, Any] = {"type": "string"}
        if self.most:
            out["maxLength"] = self.most
        if self.one_of:
            out["enum"] = list(map(str, self.one_of))
        if self.format:
            out["format"] = self.format
        if self.pattern:
            out["pattern"] = f"^(?:{self.pattern})$"
        return out


@dataclass(frozen=True)
class Number:
    """A number that EvalHub's clients can read: one of 32 bits holds it, if less exactly. `least` bounds it from below."""

    least: float | None = None

    def read(self, value: Any, path: str, failures: list[Failure]) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(path, "number", value)
        if not -LARGEST <= value <= LARGEST:
            raise InvalidJson(error=f"{path}: the number is not finite or too large (it may be {LARGEST:.2g} at the most)")
        number = shortest(value)
        if self.least is not None and number < self.least:
            failures.append(Failure(path, _name(path), "min"))
        return number

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        return {"type": "number", "minimum": -LARGEST if self.least is None else self.least, "maximum": LARGEST}


@dataclass(frozen=True)
class Integer:
    """A whole number that fits 64 bits. JSON does not tell 2.0 from 2."""

    least: int | None = None

    def read(self, value: Any, path: str, failures: list[Failure]) -> int:
        if isinstance(value, float) and value.is_integer() and abs(value) <= _MAX_EXACT:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
            raise _wrong(path, "integer", value)
        if self.least is not None and value < self.least:
            failures.append(Failure(path, _name(path), "min"))
        return value

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        return {"type": "integer", "minimum": -(2**63) if self.least is None else self.least, "maximum": 2**63 - 1}


@dataclass(frozen=True)
class Flag:
    """A boolean."""

    def read(self, value: Any, path: str, failures: list[Failure]) -> bool:
        if not isinstance(value, bool):
            raise _wrong(path, "boolean", value)
        return value

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Free:
    """A free-form object; comes back with its keys sorted."""

    def read(self, value: Any, path: str, failures: list[Failure]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong(path, "object", value)
        return _sorted(value, path, _DEEPEST)  # type: ignore[no-any-return]

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": True}


@dataclass(frozen=True)
class TextMap:
    """An object whose values are strings; `null` is as good as absent."""

    def read(self, value: Any, path: str, failures: list[Failure]) -> dict[str, str]:
        if not isinstance(value, dict):
            raise _wrong(path, "object", value)
        given = {key: item for key, item in value.items() if item is not None}
        for key, item in given.items():
            if not isinstance(item, str):
                raise _wrong(f"{path}.{key}", "string", item)
        return dict(sorted(given.items()))

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {"type": "string" if written else ["string", "null"]}}


@dataclass(frozen=True)
class ListOf:
    """A list; `null` elements are read as the empty value of their shape and so fail its rules."""

    item: Shape
    least: int = 0
    most: int = 0

    def read(self, value: Any, path: str, failures: list[Failure]) -> list[Any]:
        if not isinstance(value, list):
            raise _wrong(path, "array", value)
        if len(value) < self.least:
            failures.append(Failure(path, _name(path), "min"))
        if self.most and len(value) > self.most:
            failures.append(Failure(path, _name(path), "max"))
            return []  # so long a list is not worth reading
        empty = _EMPTY[type(self.item)]
        return [self.item.read(empty() if item is None else item, f"{path}[{i}]", failures) for i, item in enumerate(value)]

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        item = self.item.schema(written=written)
        if not written and self._takes_null():
            item["type"] = [item["type"], "null"]
        out: dict[str, Any] = {"type": "array", "items": item}
        if self.least:
            out["minItems"] = self.least
        if self.most and not written:
            out["maxItems"] = self.most
        return out

    def _takes_null(self) -> bool:
        failures: list[Failure] = []
        self.item.read(_EMPTY[type(self.item)](), "", failures)
        return not failures


@dataclass(frozen=True)
class Member:
    """A member of an object. `required`: absent, null and the empty text fail, with the tag `missing`; `zero`: 0 is kept;
    `always`: written even when empty."""

    name: str
    shape: Shape
    required: bool = False
    zero: bool = False
    always: bool = False
    missing: str = "required"
    default: str = ""
    """What an absent or empty text becomes."""
    label: str = ""
    """How the member shows in the path of a failure, where that differs from its name."""
    also: str = ""
    """Another name that is understood for it, in place of the first: values that differ are refused."""

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        """Return the JSON Schema of the member: of what is read, or of what is written."""
        out = self.shape.schema(written=written)
        if self.required:
            filled = out.get("type") == "string" and "enum" not in out and not written
            return out | ({"minLength": 1} if filled else {})
        # The empty text is as good as nothing, and so is null.
        if self.always or not written:
            if "pattern" in out:
                out["pattern"] = f"^$|{out['pattern']}"
            if "format" in out:
                out["anyOf"] = [{"format": out.pop("format")}, {"maxLength": 0}]
        if written:
            return out
        if "oneOf" in out:
            return {"anyOf": [out, {"type": "null"}]}
        if "enum" in out:
            out["enum"] = [*out["enum"], "", None]
        return out | {"type": [out["type"], "null"]}


@dataclass(frozen=True)
class Object:
    """An object with known members. `rules` see the normalised object and return further failures (relative paths);
    `choice` sees which members are given, as they are, and its failures come before all others."""

    members: Sequence[Member]
    rules: Sequence[ObjectRule] = ()
    choice: ObjectRule | None = None
    condition: Mapping[str, Any] = field(default_factory=dict)
    """What `rules` ask, as keywords of JSON Schema, as far as those can say it."""
    partial: bool = False
    """Described as if no member were required: what is left out comes from elsewhere."""
    index: dict[str, Member] = field(init=False, default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        self.index.update({member.also.lower(): member for member in self.members if member.also})
        self.index.update({member.name.lower(): member for member in self.members})

    def read(self, value: Any, path: str, failures: list[Failure]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong(path or "the body", "object", value)
        given = {member.name: item for key, item in value.items() if (member := self.index.get(str(key).lower()))}
        out: dict[str, Any] = {}
        if self.choice:
            failures += _under(path, self.choice({name: item for name, item in given.items() if item is not None}))
        for member in self.members:
            item = given.get(member.name)
            if item is None and not (member.required or member.always or member.default):
                continue
            inner = f"{path}.{member.label or member.name}" if path else member.label or member.name
            if member.also and _contradicted(member, value):
                text = f"{member.name} and {member.also} are one member but differ; send one of them"
                failures.append(Failure(inner, _name(inner), "contradiction", text))
            if member.default and item in (None, ""):
                item = member.default
            if item is None:
                if member.required:
                    failures.append(Failure(inner, _name(inner), member.missing))
                if member.always:
                    out[member.name] = _EMPTY[type(member.shape)]()
                continue
            if member.required and item == "" and isinstance(member.shape, Text):
                failures.append(Failure(inner, _name(inner), member.missing))
                continue
            item = member.shape.read(item, inner, failures)
            if member.always or member.zero or not _empty(item):
                out[member.name] = item
        for rule in self.rules:
            failures += _under(path, rule(out))
        return out

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        out: dict[str, Any] = {
            "type": "object",
            "properties": {
                name: member.schema(written=written)
                for member in self.members
                for name in (member.name, member.also)
                if name
            },
        }
        asked = (member for member in self.members if member.required or (written and member.always))
        required = [] if self.partial else [member.name for member in asked]
        return out | ({"required": required} if required else {}) | ({} if written else dict(self.condition))

    def nearest(self, name: str) -> str:
        """Return the known member that a name may be meant for; empty for none."""
        near = difflib.get_close_matches(name.lower()[:_NAME_LENGTH], self.index, 1)
        return self.index[near[0]].name if near else ""


_EMPTY: dict[type, Callable[[], Any]] = {
    Text: str,
    Integer: int,
    Number: int,
    Flag: bool,
    ListOf: list,
    Free: dict,
    TextMap: dict,
    Object: dict,
}

_EVEN_EMPTY = ("notblank", "tagname")
"""Checks that the empty text does not escape."""

LARGEST: Final = 3.4028234663852886e38
"""The largest number of 32 bits: of anything beyond it EvalHub's clients cannot read the list that it stands in."""
_LARGEST_DOUBLE: Final = sys.float_info.max
_MAX_EXACT = 2**53
_MOST_TOLD = 100
"""Most broken rules that an error lists."""
_NAME_LENGTH = 64
"""As much of an unknown member's name is compared with the known ones."""
_DEEPEST = 100
"""Most levels of a free-form object; everything that walks one may then recurse."""

_SPECIAL = {"git_http_with_secret": "git url with credentials must use https scheme"}


def shortest(number: float) -> float:
    """Return a finite number in the form that is written shortest: 1, which JSON does not tell from 1.0."""
    return int(number) if abs(number) <= _MAX_EXACT and number == int(number) else float(number)


def _contradicted(member: Member, given: dict[Any, Any]) -> bool:
    """Say whether a member with two names is given more than once, with different values."""
    names = (member.name.lower(), member.also.lower())
    values = [item for key, item in given.items() if str(key).lower() in names and item is not None]
    return any(value != values[0] for value in values[1:])


def spelled(shape: Shape, pointer: str) -> str:
    """Return a JSON pointer (RFC 6901) into a value of `shape` with the members' names as normalised values have them."""
    steps = pointer.split("/")
    for i, step in enumerate(steps[1:], 1):
        if isinstance(shape, ListOf):
            shape = shape.item
        elif isinstance(shape, Object) and (member := shape.index.get(step.lower())):
            steps[i], shape = member.name, member.shape
        else:
            break
    return "/".join(steps)


def _under(path: str, failures: list[Failure]) -> list[Failure]:
    """Return the failures of the object at `path`, told from the root."""
    return [f._replace(path=f"{path}.{f.path}") for f in failures] if path else failures


def _empty(value: Any) -> bool:
    """Say whether an optional member is left out of the answer. An empty object stays: its rules have been checked."""
    return value in ("", 0, False) or value == []


def _sorted(value: Any, path: str, levels: int) -> Any:
    """Return a JSON value with the members of its objects sorted. Raises InvalidJson for what JSON cannot carry."""
    if not levels:
        raise InvalidJson(error=f"{path}: it is nested more than {_DEEPEST} levels deep")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise InvalidJson(error=f"{path}: every name of a member must be a string")
        return {key: _sorted(value[key], path, levels - 1) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item, path, levels - 1) for item in value]
    if isinstance(value, int | float):
        if not -_LARGEST_DOUBLE <= value <= _LARGEST_DOUBLE:
            raise InvalidJson(error=f"{path}: a number is not finite or too large")
    elif not isinstance(value, str | None):
        raise InvalidJson(error=f"{path}: {value} is not a JSON value")
    return value


def read(shape: Object, root: str, value: Any) -> dict[str, Any]:
    """Return the normalised body, or raise InvalidJson (wrong type) or ValidationFailed (every broken rule)."""
    failures: list[Failure] = []
    out = shape.read({} if value is None else value, "", failures)
    refuse(root, failures)
    return out


def unknown_members(shape: Shape, value: Any, path: str = "") -> Iterator[tuple[str, str, Object]]:
    """Yield what reading `value` as `shape` has passed over: the path of each member, its name, and whose it would be."""
    if isinstance(shape, Object) and isinstance(value, dict):
        for key, item in value.items():
            inner = f"{path}.{key}" if path else str(key)
            member = shape.index.get(str(key).lower())
            if member is None:
                yield inner, str(key), shape
            else:
                yield from unknown_members(member.shape, item, inner)
    elif isinstance(shape, ListOf) and isinstance(value, list):
        for i, item in enumerate(value):
            yield from unknown_members(shape.item, item, f"{path}[{i}]")


def refuse(root: str, failures: list[Failure]) -> None:
    """Raise ValidationFailed with the text of the EvalHub contract, if anything failed."""
    if not failures:
        return
    if failures[0].text:
        raise ValidationFailed(error=failures[0].text)
    lines = [
        f"Key: '{root}.{f.path}' Error:Field validation for '{f.field}' failed on the '{f.tag}' tag"
        for f in failures[:_MOST_TOLD]
    ]
    if len(failures) > _MOST_TOLD:
        lines.append(f"and {len(failures) - _MOST_TOLD} more")
    raise ValidationFailed(error="\n".join(lines))
