"""Members of a body that nobody knows: they are dropped, as EvalHub's clients rely on, and the answer says so."""

from __future__ import annotations

from typing import Any

from assay.model.shapes import Object, unknown_members

_MOST = 8
_LONGEST = 80


def warning_of(shape: Object, given: Any) -> dict[str, str]:
    """Return the header that names what was passed over in a body that `shape` has read; none where nothing was."""
    names = list(unknown_members(shape, given))
    if not names:
        return {}
    shown = [name[:_LONGEST].encode("ascii", "backslashreplace").decode() for name in names[:_MOST]]
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    text = f"unknown members were ignored: {', '.join(shown)}{more}"
    quotable = "".join(character for character in text if character.isprintable() and character not in '"\\')
    return {"Warning": f'299 assay "{quotable}"'}
