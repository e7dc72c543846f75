"""`assay queue`: what waits, for what, and when it should start."""

from __future__ import annotations

import datetime
import json
from typing import Any

import click

from assay.cli import text
from assay.cli.exits import say
from assay.cli.given import filled
from assay.cli.jobs import resolve
from assay.cli.settings import Settings, pass_settings, server_options


@click.command()
@server_options
@click.option("--job", "job_id", callback=filled, help="Only the runs of this job; `last` for the newest.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="At most this many runs.")
@pass_settings
def queue(settings: Settings, job_id: str | None, limit: int) -> None:
    """Show the runs that wait for a slot, in the order in which they will get one.

    When a run should start is worked out from what such runs took before; it is empty while nobody knows. A run
    without a place waits for a worker that can carry it out: `assay workers list` shows those that there are.

    \b
    Examples:
      assay queue
      assay queue --job last
      assay queue --json | jq '.items[0].waits_for'
    """
    evaluations = settings.evaluations()
    found = evaluations.queue(limit, resolve(evaluations, job_id) if job_id else None)
    if settings.json:
        click.echo(json.dumps(found))
        return
    slots = found["slots"]
    used = f"slots in use: {slots['used']} of {slots['total']} (workers: {slots['workers']})"
    if not found["items"]:
        say(f"Nothing waits; {used}.")
        return
    headings = ("PLACE", "JOB", "BENCHMARK", "PRIORITY", "STARTS", "WAITS FOR")
    click.echo(text.table(headings, [_row(item) for item in found["items"]], frozenset({0, 3})))
    say(f"Waiting: {found['total_count']} of your runs, {found['queued']} in all; {used}.")


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(item.get("position", "")),
        item["job_id"],
        f"{item['provider_id']}/{item['benchmark_id']}",
        str(item["priority"]),
        _from_now(item.get("expected_start_at", "")),
        item["waits_for"]["message"],  # whole, for what is missing is named at its end
    )


def _from_now(moment: str) -> str:
    """Return when something is expected, such as `in 3 min`."""
    if not moment:
        return ""
    seconds = (datetime.datetime.fromisoformat(moment) - datetime.datetime.now(datetime.UTC)).total_seconds()
    if seconds < 1:
        return "now"
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"in {seconds / length:.0f} {unit}"
    return f"in {seconds:.0f} s"
