"""Members of a body that nobody knows: they are dropped, as EvalHub's clients rely on, and the answer says so."""

from __future__ import annotations

from typing import Any

from assay.model.shapes import Object, read, unknown_members

_MOST = 8
_LONGEST = 80


def read_warned(shape: Object, root: str, given: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the normalised body, and the header that warns of what was passed over in it. Raises as `shapes.read`."""
    return read(shape, root, given), warning_of(shape, given)


def both(one: dict[str, str], other: dict[str, str]) -> dict[str, str]:
    """Return the header with the warnings of two (RFC 9110, 5.3: one line)."""
    said = ", ".join(header["Warning"] for header in (one, other) if header)
    return {"Warning": said} if said else {}


def warning_of(shape: Object, given: Any) -> dict[str, str]:
    """Return the header that names what was passed over in a body that `shape` has read; none where nothing was."""
    passed_over = list(unknown_members(shape, given))
    if not passed_over:
        return {}
    shown = [_named(path, owner.nearest(name)) for path, name, owner in passed_over[:_MOST]]
    more = f" and {len(passed_over) - _MOST} more" if len(passed_over) > _MOST else ""
    text = f"unknown members were ignored: {', '.join(shown)}{more}"
    quotable = "".join(character for character in text if character.isprintable() and character not in '"\\')
    return {"Warning": f'299 assay "{quotable}"'}


def _named(path: str, meant: str) -> str:
    shown = path[:_LONGEST].encode("ascii", "backslashreplace").decode()
    return f"{shown} (did you mean {meant}?)" if meant else shown
