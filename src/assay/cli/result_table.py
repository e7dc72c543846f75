"""The result table of a job: in colour on a terminal, plain elsewhere."""

from __future__ import annotations

import os
import sys
from typing import Literal

import click

from assay.cli import results, text


def show(job: results.Job) -> None:
    """Print the results of a job, what went wrong in it, and its verdict."""
    rows = results.rows(job)
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        _coloured(rows)
    else:
        click.echo(text.table(results.HEADINGS, [row.cells() for row in rows], results.RIGHT))
    for line in results.problems(job):
        head, *more = line.splitlines()
        click.echo(text.printable(head))
        for further in more[-20:]:
            click.echo(f"    {text.printable(further)}")
    click.echo(results.verdict(job))


def _coloured(rows: list[results.Row]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    columns = zip(results.HEADINGS, *(row.cells() for row in rows), strict=True)
    width = sum(max(map(len, column)) for column in columns)
    gap = 1 if width + 2 * len(results.HEADINGS) <= console.width else 0
    made = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, padding=(0, gap, 0, 0))
    for i, heading in enumerate(results.HEADINGS):
        justify: Literal["left", "right"] = "right" if i in results.RIGHT else "left"
        # Where the terminal is too narrow only the names are folded, never a number.
        made.add_column(heading.lower(), justify=justify, no_wrap=i > 1, overflow="fold")
    for row in rows:
        style = {True: "green", False: "bold red", None: ""}[row.passed]
        cells = [Text(text.printable(cell)) for cell in row.cells()]
        cells[-1].stylize(style)
        made.add_row(*cells)
    console.print(made)
