"""The result table of a job: in colour on a terminal, plain elsewhere."""

from __future__ import annotations

import os
import sys

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

    made = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for i, heading in enumerate(results.HEADINGS):
        made.add_column(heading.lower(), justify="right" if i in results.RIGHT else "left")
    for row in rows:
        style = {True: "green", False: "bold red", None: ""}[row.passed]
        cells = [Text(text.printable(cell)) for cell in row.cells()]
        cells[-1].stylize(style)
        made.add_row(*cells)
    Console().print(made)
