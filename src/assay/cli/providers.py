"""`assay providers`: what can be evaluated."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import click

from assay.cli import text
from assay.cli.exits import say
from assay.cli.given import filled
from assay.cli.lazy import Entry, LazyGroup
from assay.cli.settings import Settings, pass_settings, server_options
from assay.cli.submission import CUSTOM_BENCHMARK, CUSTOM_PROVIDER


@click.group(
    cls=LazyGroup,
    table={
        "list": Entry("assay.cli.providers:list_providers", "List the providers."),
        "show": Entry("assay.cli.providers:show", "Show a provider and its benchmarks."),
    },
)
@server_options
def providers() -> None:
    """See which benchmarks there are. `assay eval` takes them as PROVIDER/BENCHMARK.

    \b
    Examples:
      assay providers list
      assay providers show practice         # its benchmarks, and hints on how to run them
    """


@click.command("list")
@server_options
@click.option("--name", help="Only providers of exactly this name.")
@click.option("--tag", "tags", multiple=True, help="Only providers with this tag; repeated: with all of them.")
@pass_settings
def list_providers(settings: Settings, name: str | None, tags: tuple[str, ...]) -> None:
    """List the providers of the server.

    \b
    Examples:
      assay providers list
      assay providers list --tag offline --json
    """
    found = settings.evaluations().providers(name=name, tags=",".join(tags) or None)
    if settings.json:
        click.echo(json.dumps({"items": found}))
        return
    if not found:
        say("There is no such provider. `assay serve --catalog DIR` adds those in DIR/providers.")
        return
    rows = [
        (
            _id(item),
            text.shortened(str(item.get("title") or item.get("name", "")), 32),
            str(len(item.get("benchmarks") or [])),
            text.shortened(str(item.get("description", "")), 60),
        )
        for item in found
    ]
    click.echo(text.table(("ID", "TITLE", "BENCHMARKS", "DESCRIPTION"), rows, frozenset({2})))


@click.command()
@server_options
@click.argument("provider", callback=filled)
@pass_settings
def show(settings: Settings, provider: str) -> None:
    """Show a provider: its benchmarks, what they measure, their thresholds, and hints on how to run them.

    \b
    Examples:
      assay providers show practice
      assay providers show lm_eval --json
    """
    found = settings.evaluations().provider(provider)
    if settings.json:
        click.echo(json.dumps(found))
        return
    click.echo(f"{_id(found)}: {text.printable(str(found.get('title') or found.get('name', '')))}")
    if found.get("description"):
        click.echo(textwrap.fill(text.printable(found["description"]), 100))
    click.echo()
    rows = [_benchmark(item) for item in found.get("benchmarks") or []]
    headings = ("BENCHMARK", "SAMPLES", "METRIC", "THRESHOLD", "DESCRIPTION")
    click.echo(text.table(headings, rows, frozenset({1, 3})))
    _give_hints(found)
    if rows:
        first = f"{_id(found)}/{rows[0][0]}"
        what = "--task TASK" if first == f"{CUSTOM_PROVIDER}/{CUSTOM_BENCHMARK}" else first
        click.echo(f"\nTry: assay eval {what} --model-url URL --model-name NAME")


def _give_hints(provider: dict[str, Any]) -> None:
    """Print what the provider's own file advises."""
    hints = (provider.get("agent") or {}).get("hints") or []
    if hints:
        click.echo("\nHints:")
    for hint in hints:
        told = text.printable(str(hint))
        click.echo(textwrap.fill(told, 100, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False))


def _id(provider: dict[str, Any]) -> str:
    return text.printable(str(provider.get("resource", {}).get("id", "")))


def _benchmark(item: dict[str, Any]) -> tuple[str, ...]:
    threshold = item.get("pass_criteria", {}).get("threshold")
    metric = item.get("primary_score", {}).get("metric") or ", ".join(item.get("metrics") or [])
    return (
        str(item.get("id", "")),
        str(item.get("dataset_size") or "-"),
        metric or "-",
        "-" if threshold is None else f"{threshold:g}",
        text.shortened(str(item.get("description", "")), 70),
    )
