"""`assay backup`: copies of what a server keeps, made while it runs, and checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from assay.cli import programs, text
from assay.cli.exits import say
from assay.cli.lazy import Entry, LazyGroup
from assay.cli.settings import Settings, json_option, pass_settings

_HERE = "assay.cli.backup"


@click.group(
    cls=LazyGroup,
    default="create",
    table={
        "create": Entry(f"{_HERE}:create", "Make a backup, and check it. The name may be left out."),
        "verify": Entry(f"{_HERE}:verify", "Check that a backup is whole."),
        "list": Entry(f"{_HERE}:list_backups", "List the backups in a folder."),
    },
)
@json_option
def backup() -> None:
    """Back up jobs, results, logs and artifacts while the server runs. `assay restore` puts them back.

    \b
    Examples:
      assay backup /mnt/backups                   # the same as: assay backup create /mnt/backups
      assay backup verify /mnt/backups
      assay backup list /mnt/backups
    """


def place_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say whose data it is about: those of `assay serve`."""
    options = (
        click.option(
            "--data",
            type=click.Path(file_okay=False, path_type=Path),
            help="Data folder of the server (ASSAY_DATA; else ~/.local/share/assay).",
        ),
        click.option("--database", help="Its database, if not in the data folder. With a password: in ASSAY_DATABASE."),
        click.option(
            "--config",
            type=click.Path(exists=True, path_type=Path),
            help="Settings file of the server, or its folder (ASSAY_CONFIG; else EVAL_HUB_CONFIG_DIR).",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@json_option
@click.argument("dest", type=click.Path(path_type=Path))
@place_options
@click.option("--keep", metavar="N", type=click.IntRange(min=1), help="Afterwards delete all but the newest N backups.")
@click.option("--allow-missing", is_flag=True, help="Leave out artifacts that this data folder does not have.")
@pass_settings
def create(settings: Settings, dest: Path, config: Path | None, keep: int | None, allow_missing: bool, **flags: Any) -> None:
    """Make a backup in the folder DEST, under the time as its name. Run it on the server's machine, as its user.

    The server goes on meanwhile. The database is copied as it is at one moment, then the logs and artifacts that it
    names; what an earlier backup in DEST has already is shared with it, so that only what is new takes time and space. All
    is read again and compared before the backup gets its name. Secrets are not in it.

    \b
    Examples:
      assay backup create /mnt/backups
      assay backup create /mnt/backups --data /srv/assay --keep 14
      assay restore /mnt/backups --data /srv/assay-new      # the way back
      ASSAY_DATABASE=postgresql://assay:…@db/assay assay backup create /mnt/backups
    """
    made = programs.make_backup(flags, config, dest, keep=keep or 0, allow_missing=allow_missing)
    if settings.json:
        click.echo(json.dumps(made))
        return
    click.echo(made["path"])
    say(f"{_what(made)}: {text.size(made['size'])}, {text.size(made['written'])} of it new. Checked.")
    if made["missing"]:
        say(f"{made['missing']} artifacts were left out: they are not in this data folder.")
    for path in made["deleted"]:
        say(f"Deleted {path}.")


@click.command()
@json_option
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--all", "every", is_flag=True, help="Every backup in the folder, instead of the newest.")
@pass_settings
def verify(settings: Settings, dest: Path, every: bool) -> None:
    """Check a backup, or the newest in a folder: each file against its digest, the database against itself, and its
    counts and artifacts against the manifest. What is wrong is named, and the exit code is 1.

    \b
    Examples:
      assay backup verify /mnt/backups
      assay backup verify /mnt/backups/20261121T180755Z
      assay backup verify /mnt/backups --all
    """
    checked = programs.verify_backups(dest, every=every)
    if settings.json:
        click.echo(json.dumps({"items": checked}))
        return
    for one in checked:
        click.echo(f"{one['path']} is whole: {_what(one)}, {one['files']} files, {text.size(one['size'])}.")


@click.command("list")
@json_option
@click.argument("dest", type=click.Path(exists=True, file_okay=False, path_type=Path))
@pass_settings
def list_backups(settings: Settings, dest: Path) -> None:
    """List the finished backups in a folder, oldest first, without checking them.

    \b
    Examples:
      assay backup list /mnt/backups
      assay backup list /mnt/backups --json | jq -r '.items[-1].path'
    """
    found = programs.list_backups(dest)
    if settings.json:
        click.echo(json.dumps({"items": found}))
        return
    rows = [
        (Path(one["path"]).name, one["database"], one["assay"], str(one["schema"]), str(one["jobs"]), text.size(one["size"]))
        for one in found
    ]
    click.echo(text.table(("BACKUP", "DATABASE", "ASSAY", "SCHEMA", "JOBS", "SIZE"), rows, frozenset({3, 4, 5})))


def _what(one: dict[str, Any]) -> str:
    return f"{one['jobs']} jobs, {one['runs']} runs, {one['events']} events"
