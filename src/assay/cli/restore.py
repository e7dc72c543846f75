"""`assay restore`: a backup into a new place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from assay.cli import programs
from assay.cli.exits import say
from assay.cli.settings import Settings, json_option, pass_settings


@click.command()
@json_option
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data folder to restore into (ASSAY_DATA; else ~/.local/share/assay).",
)
@click.option("--database", help="Database to restore into: file:PATH or a PostgreSQL URL (ASSAY_DATABASE).")
@click.option("--replace", is_flag=True, help="Move what is in the data folder aside, into replaced-TIME in it.")
@pass_settings
def restore(settings: Settings, source: Path, replace: bool, **flags: Any) -> None:
    """Restore a backup, or the newest in the folder SRC, into a new data folder (and, where it is of PostgreSQL, an empty
    database), while no server runs on it.

    The backup is checked first, and what was written afterwards. A backup of an older version is brought up to date; one of
    a newer version is refused. Runs that were being carried out at the time of the backup are tried again when the server
    starts. Credentials are not in a backup: put them into `secrets` of the data folder.

    \b
    Examples:
      assay restore /mnt/backups --data /srv/assay-new      # then: assay serve --data /srv/assay-new
      assay restore /mnt/backups/20261121T180755Z --data /srv/assay --replace
      ASSAY_DATABASE=postgresql://assay:…@db/new assay restore /mnt/backups --data /srv/assay
    """
    done = programs.restore_backup(flags, source, replace=replace)
    if settings.json:
        click.echo(json.dumps(done))
        return
    click.echo(
        f"{done['jobs']} jobs, {done['runs']} runs and {done['events']} events of {done['backup']} are in {done['data']}."
    )
    if done["migrations"]:
        say(f"Brought up to date: {', '.join(done['migrations'])}.")
    if done["replaced"]:
        say(f"What was there before is in {done['replaced']}.")
