"""`assay catalog`: check catalogue files before a server reads them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from assay.cli import programs
from assay.cli.lazy import Entry, LazyGroup
from assay.cli.settings import Settings, json_option, pass_settings


@click.group(
    cls=LazyGroup,
    table={"validate": Entry("assay.cli.catalog:validate", "Check the files of catalogue folders.")},
)
@json_option
def catalog() -> None:
    """Work on catalogue folders, each with providers/*.yaml and collections/*.yaml.

    \b
    Examples:
      assay catalog validate ./catalogue
    """


@click.command("validate")
@json_option
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@pass_settings
def validate(settings: Settings, folders: tuple[Path, ...]) -> None:
    """Check catalogue folders as `assay serve --catalog` would, without a server.

    The first file that is wrong is named with what is wrong in it, and the exit code is 2.

    \b
    Examples:
      assay catalog validate ./catalogue    # then: assay serve --catalog ./catalogue
      assay catalog validate ./ours ./theirs --json
    """
    counts = programs.catalogue_counts(folders)
    if settings.json:
        click.echo(json.dumps(counts))
    else:
        click.echo(
            f"All is well: {counts['providers']} providers and {counts['collections']} collections, built-in ones included."
        )
