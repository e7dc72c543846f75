"""`assay usage` and `assay cleanup`: how much room things take, and room for new ones."""

from __future__ import annotations

import json

import click

from assay.cli import text
from assay.cli.settings import Settings, pass_settings, server_options
from assay.client.maintenance import Maintenance

_PARTS = (
    ("database", "database_bytes"),
    ("artifacts", "blobs_bytes"),
    ("logs", "logs_bytes"),
    ("free on the disk", "free_bytes"),
)


@click.command()
@server_options
@pass_settings
def usage(settings: Settings) -> None:
    """Show how much room the database, the artifacts and the logs take, and how much the disk of the data folder has left.

    \b
    Examples:
      assay usage
      assay usage --json | jq .free_bytes
    """
    found = Maintenance(settings.http()).usage()
    if settings.json:
        click.echo(json.dumps(found))
        return
    rows = [(name, text.size(found[member])) for name, member in _PARTS]
    click.echo(text.table(("WHAT", "SIZE"), rows, frozenset({1})))


@click.command()
@server_options
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@pass_settings
def cleanup(settings: Settings, dry_run: bool) -> None:
    """Delete what the server's settings do not ask to keep any longer: keep_jobs_days, keep_jobs_days_of_tenants,
    keep_logs_days, keep_events_days, max_total_log_bytes, which are off unless they are set, and keep_workers_days.

    The server does the same every hour, a little at a time. Jobs that have not ended, and those of which a card is on its
    way, stay.

    \b
    Examples:
      assay cleanup --dry-run
      assay cleanup
    """
    found = Maintenance(settings.http()).cleanup(dry_run=dry_run)
    if settings.json:
        click.echo(json.dumps(found))
        return
    click.echo(
        f"{found['jobs']} jobs, the logs of {found['logs']} others ({text.size(found['log_bytes'])} of logs in all) and "
        f"{found['events']} events of others {'would go' if dry_run else 'go now, a little at a time'}."
    )
    if found.get("workers"):
        click.echo(f"{found['workers']} silent workers {'would be' if dry_run else 'are'} forgotten.")
    for tenant, n in found["tenants"].items():
        click.echo(f"  {n} jobs of {f'tenant {text.printable(tenant)}' if tenant else 'no tenant'}")
