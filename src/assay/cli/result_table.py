"""The result table of a job: in colour and as wide as the terminal on one, plain elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from assay.cli import results, text
from assay.cli.results import HEADINGS, RIGHT, Row

_INDENT = "  "
_RIGHT_OF_FIRST = frozenset(column - 1 for column in RIGHT)


def show(job: results.Job) -> None:
    """Print the results of a job, what went wrong in it, and its verdict."""
    rows = results.rows(job)
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        _coloured(rows)
    else:
        click.echo(_table(rows))
    for line in results.problems(job):
        head, *more = line.splitlines()
        click.echo(text.printable(head))
        for further in more[-20:]:
            click.echo(f"    {text.printable(further)}")
    click.echo(results.verdict(job))


def lines(rows: Sequence[Row], width: int) -> list[tuple[str, Row | None]]:
    """Return the lines that show rows on a terminal of `width` columns, and the row whose result ends a line.

    All is shown at any width: in a table, else under a line for each benchmark, else with the counts below their metric.
    Then the name of a metric is cut where its value would not fit beside it.
    """
    heading, *made = _table(rows).split("\n")
    if _fit([heading, *made], width):
        return [(heading, None), *zip(made, rows, strict=True)]
    cells = [row.cells()[1:] for row in rows]
    heading, *made = [_INDENT + line for line in text.table(HEADINGS[1:], cells, _RIGHT_OF_FIRST, gap=1).split("\n")]
    if _fit([heading, *made], width):
        found: list[tuple[str, Row | None]] = [(heading, None)]
        for line, row in zip(made, rows, strict=True):
            found += [(text.printable(row.benchmark), None)] if row.benchmark else []
            found.append((line, row))
        return found
    return _stacked(rows, width)


def _stacked(rows: Sequence[Row], width: int) -> list[tuple[str, Row | None]]:
    left = max(8, width - 2 * len(_INDENT) - max((len(row.value) for row in rows), default=0))
    measured = [(text.shortened(row.metric, left), row.value) for row in rows]
    _, *made = text.table(("", ""), measured).split("\n")
    found: list[tuple[str, Row | None]] = []
    for line, row in zip(made, rows, strict=True):
        found += [(text.printable(row.benchmark), None)] if row.benchmark else []
        found += [(_INDENT + line, None)] if row.metric != "-" else []
        counts = [f"{name.lower()} {cell}" for name, cell in zip(HEADINGS[3:6], row.cells()[3:6], strict=True) if cell]
        below = ", ".join([*counts, *([row.result] if row.result else [])])
        found += [(2 * _INDENT + text.printable(below), row)] if below else []
    return found


def _table(rows: Sequence[Row]) -> str:
    return text.table(HEADINGS, [row.cells() for row in rows], RIGHT)


def _fit(made: Sequence[str], width: int) -> bool:
    return all(len(line) <= width for line in made)


def _coloured(rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for i, (line, row) in enumerate(lines(rows, console.width)):
        names = not i or (row is None and not line.startswith(_INDENT))
        shown = Text(line, style="bold" if names else "")
        if row and row.result:
            style = {True: "green", False: "bold red", None: ""}[row.passed]
            shown.stylize(style, len(line) - len(row.result))
        console.print(shown, soft_wrap=True)
