"""Values that resemble a shape: mostly right, here and there wrong, as Hypothesis strategies."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from assay.model.shapes import Flag, Free, Integer, ListOf, Number, Object, Shape, Text, TextMap

from .json_values import ANYTHING, TEXT

_WORDS = st.sampled_from(
    ["", " ", "a", "b0", "http://h/x", "https://example.com/r", "2026-01-01T00:00:00Z", "Bad_", "a,b", "x" * 6000]
)


def value_for(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that `shape` may or may not read. Wrong types are rare, so that most of a body is looked at."""
    return st.integers(0, 40).flatmap(lambda chance: ANYTHING if chance == 0 else _right(shape, depth))


def _right(shape: Shape, depth: int) -> st.SearchStrategy[Any]:
    match shape:
        case Text():
            return st.sampled_from(shape.one_of) if shape.one_of else _WORDS | TEXT
        case Number():
            return st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        case Integer():
            return st.integers(-2, 2**63)
        case Flag():
            return st.booleans()
        case Free():
            return st.dictionaries(TEXT, ANYTHING, max_size=3)
        case TextMap():
            return st.dictionaries(TEXT, TEXT, max_size=3)
        case ListOf():
            return st.lists(value_for(shape.item, depth + 1), max_size=3)
        case Object():
            members = {member.name: value_for(member.shape, depth + 1) for member in shape.members}
            needed = {member.name for member in shape.members if member.required}
            return st.fixed_dictionaries(
                {name: value for name, value in members.items() if name in needed},
                optional={name: value for name, value in members.items() if name not in needed},
            )
    raise TypeError(f"no values are known for {type(shape).__name__}")
