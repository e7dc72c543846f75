"""`assay version`."""

from __future__ import annotations

import json
import sys

import click

from assay import __version__
from assay.cli.settings import Settings, json_option, pass_settings


@click.command()
@json_option
@pass_settings
def version(settings: Settings) -> None:
    """Print the version of Assay and of Python.

    \b
    Examples:
      assay version
      assay version --json
    """
    python = ".".join(map(str, sys.version_info[:3]))
    if settings.json:
        click.echo(json.dumps({"assay": __version__, "python": python}))
    else:
        click.echo(f"assay {__version__} (Python {python})")
