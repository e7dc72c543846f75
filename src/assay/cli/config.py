"""`assay config`: the settings in force, and where each comes from."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from assay.cli import programs, text
from assay.cli.exits import CommandError
from assay.cli.lazy import Entry, LazyGroup
from assay.cli.settings import Settings, json_option, pass_settings
from assay.config import SETTINGS, load, located
from assay.config import Settings as Loaded
from assay.config.masking import shown
from assay.config.settings import DEFAULT
from assay.model.errors import SettingInvalid


@click.group(
    cls=LazyGroup,
    table={
        "show": Entry("assay.cli.config:show", "Print each setting, its value and where it comes from."),
        "validate": Entry("assay.cli.config:validate", "Check a settings file before a server reads it."),
    },
)
@json_option
def config() -> None:
    """Look at the settings. Flags count most, then the environment, then secret files, then a file, then the defaults.

    \b
    Examples:
      assay config show
      assay config show --config assay.toml
      assay config validate /etc/evalhub
    """


@click.command("show")
@json_option
@click.option(
    "--config",
    type=click.Path(exists=True, path_type=Path),
    help="Settings file or its folder (ASSAY_CONFIG; else EVAL_HUB_CONFIG_DIR).",
)
@pass_settings
def show(settings: Settings, config: Path | None) -> None:
    """Print each setting that `assay serve` would use here, with its origin. Passwords are masked.

    What the file holds that has no effect is told on standard error.

    \b
    Examples:
      assay config show
      ASSAY_PORT=9000 assay config show --json
      assay config show --config /etc/evalhub
    """
    loaded = _loaded(located(config), dict(os.environ))
    rows = {setting.name: {"value": shown(loaded, setting), "origin": loaded.origins[setting.name]} for setting in SETTINGS}
    if settings.json:
        click.echo(json.dumps(rows, indent=2))
    else:
        lines = [[setting.name, *rows[setting.name].values(), setting.purpose] for setting in SETTINGS]
        click.echo(text.table(["SETTING", "VALUE", "ORIGIN", "PURPOSE"], lines))
    _tell(loaded)


@click.command("validate")
@json_option
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@pass_settings
def validate(settings: Settings, file: Path) -> None:
    """Check a settings file, or the one in a folder, as `assay serve --config` would, without a server.

    Secret files, and the variables that a file of EvalHub's lists, are read; variables of Assay are left out of it, so that
    the file speaks for itself. What is wrong is named with its remedy, and the exit code is 2. A key that EvalHub would
    ignore is a warning.

    \b
    Examples:
      assay config validate assay.toml
      assay config validate /etc/evalhub
    """
    loaded = _loaded(file, {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")})
    counts = programs.catalogue_counts(loaded.catalog)
    given = sorted(name for name, origin in loaded.origins.items() if origin != DEFAULT)
    if settings.json:
        click.echo(json.dumps({"settings": given, "warnings": list(loaded.notes), **counts}, indent=2))
        return
    _tell(loaded)
    click.echo(f"All is well: {len(given)} settings ({', '.join(given) or 'none'}).")


def _loaded(file: Path | None, environ: dict[str, str]) -> Loaded:
    """Return the settings in force, or end with what is wrong with them."""
    try:
        loaded = load({}, environ, file)
        _ = loaded.tls_files
    except SettingInvalid as error:
        raise CommandError(error.message) from None
    return loaded


def _tell(loaded: Loaded) -> None:
    for note in loaded.notes:
        click.echo(f"Warning: {text.printable(note)}", err=True)
