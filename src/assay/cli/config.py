"""`assay config`: the settings in force, and where each comes from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import click

from assay.cli import text
from assay.cli.exits import CommandError
from assay.cli.lazy import Entry, LazyGroup
from assay.cli.settings import Settings, json_option, pass_settings
from assay.config import SETTINGS, load
from assay.model.errors import SettingInvalid


@click.group(
    cls=LazyGroup,
    table={"show": Entry("assay.cli.config:show", "Print each setting, its value and where it comes from.")},
)
@json_option
def config() -> None:
    """Look at the settings. Flags count most, then the environment, then a file, then the defaults.

    \b
    Examples:
      assay config show
      assay config show --config assay.toml
    """


@click.command("show")
@json_option
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Settings file, TOML.")
@pass_settings
def show(settings: Settings, config: Path | None) -> None:
    """Print each setting that `assay serve` would use here, with its origin. Passwords are masked.

    \b
    Examples:
      assay config show
      ASSAY_PORT=9000 assay config show --json
    """
    try:
        loaded = load({}, file=config)
    except SettingInvalid as error:
        raise CommandError(error.message) from None
    shown = {setting.name: _shown(loaded.values[setting.name]) for setting in SETTINGS}
    if settings.json:
        rows = {name: {"value": value, "origin": loaded.origins[name]} for name, value in shown.items()}
        click.echo(json.dumps(rows, indent=2))
        return
    lines = [[setting.name, shown[setting.name], loaded.origins[setting.name], setting.purpose] for setting in SETTINGS]
    click.echo(text.table(["SETTING", "VALUE", "ORIGIN", "PURPOSE"], lines))


def _shown(value: object) -> str:
    """Return a value as text, without the password of a URL."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return os.pathsep.join(map(str, value))
    shown = str(value)
    password = urlsplit(shown).password if "://" in shown else None
    return shown.replace(f":{password}@", ":[masked]@") if password else shown
