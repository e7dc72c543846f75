"""Plain text for people: tables, ages, sizes. No colour, no library, so that lists come at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

_STEPS = ((86400, "d"), (3600, "h"), (60, "m"))


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset(), *, gap: int = 2
) -> str:
    """Return rows under headings in aligned columns, `gap` spaces apart; those in `right` are aligned to the right."""
    safe = [[printable(cell) for cell in row] for row in rows]
    columns = list(zip(headings, *safe, strict=True)) if safe else [(heading,) for heading in headings]
    widths = [max(len(cell) for cell in column) for column in columns]
    lines = []
    for row in [list(headings), *safe]:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((" " * gap).join(cells).rstrip())
    return "\n".join(lines)


def printable(text: str) -> str:
    """Return text from elsewhere without what a terminal would take for commands or new lines."""
    return "".join(c if c.isprintable() else " " for c in text)


def shortened(text: str, width: int) -> str:
    """Return `text`, cut to `width` characters."""
    return text if len(text) <= width else text[: width - 1] + "…"


def age(moment: str, now: datetime | None = None) -> str:
    """Return how long ago an RFC 3339 time is, in its largest unit (`42s`, `7m`, `3h`, `12d`); `-` for no
    time.
    """
    try:
        then = datetime.fromisoformat(moment)
        seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    except (ValueError, TypeError):
        return "-"
    return duration(seconds)


def duration(seconds: float) -> str:
    """Return a length of time in its largest unit."""
    whole = max(0, int(seconds))
    for size, unit in _STEPS:
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
