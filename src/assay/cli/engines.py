"""`assay engines`: the evaluation libraries, each in an environment of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from assay.cli import programs, text
from assay.cli.exits import say
from assay.cli.lazy import Entry, LazyGroup
from assay.cli.settings import Settings, json_option, pass_settings
from assay.config import data_dir, engines_dir


@click.group(
    cls=LazyGroup,
    table={
        "list": Entry("assay.cli.engines:list_engines", "List the engines and say which are installed."),
        "install": Entry("assay.cli.engines:install", "Install an engine."),
    },
)
@json_option
def engines() -> None:
    """Install the evaluation libraries on the machine where runs execute. They never mix with Assay's own
    packages.

    \b
    Examples:
      assay engines list
      assay engines install lm_eval
    """


def folder_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --engines-dir, which says where engines are. Servers of a user share them, whatever their --data."""
    return click.option(
        "--engines-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of engine environments (ASSAY_ENGINES_DIR; else `engines` in ASSAY_DATA or ~/.local/share/assay).",
    )(function)


@click.command("list")
@json_option
@folder_options
@pass_settings
def list_engines(settings: Settings, engines_dir: Path | None) -> None:
    """List the engines that can be installed, and where the installed ones are.

    \b
    Examples:
      assay engines list
      assay engines list --json
    """
    found = programs.engines(folder(engines_dir))
    if settings.json:
        click.echo(json.dumps({"items": [asdict(engine) for engine in found]}))
        return
    rows = [
        (
            engine.name,
            engine.version,
            "yes" if engine.path else "no",
            engine.path or f"assay engines install {engine.name}",
        )
        for engine in found
    ]
    click.echo(text.table(("ENGINE", "VERSION", "INSTALLED", "WHERE, OR HOW"), rows))


@click.command()
@json_option
@click.argument("name")
@folder_options
@pass_settings
def install(settings: Settings, name: str, engines_dir: Path | None) -> None:
    """Install an engine from its lock file. An installed one is left as it is; a broken one is built again.

    A worker that runs takes it into use within seconds.

    \b
    Examples:
      assay engines install lm_eval
      assay engines install lm_eval --engines-dir /srv/assay/engines
    """
    began = time.monotonic()
    there = any(engine.name == name and engine.path for engine in programs.engines(folder(engines_dir)))
    made = programs.install_engine(folder(engines_dir), name, say)
    if settings.json:
        click.echo(json.dumps(asdict(made)))
        return
    say(f"Ready after {time.monotonic() - began:.1f} s.")
    if not there:
        say("A worker that runs already, and that of `assay serve` too, has it after its next start.")


def folder(engines: Path | None) -> Path:
    """Return the folder of engines for the options given."""
    return engines or engines_dir(data_dir())
