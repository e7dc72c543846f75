"""`assay jobs watch`."""

from __future__ import annotations

import json
from typing import Any

import click

from assay.cli import text
from assay.cli.exits import Exit, say
from assay.cli.given import filled
from assay.cli.jobs import resolve
from assay.cli.settings import Settings, pass_settings, server_options
from assay.client.errors import ClientError
from assay.model.states import JobState

_SHOWN = ("worker", "cause", "code", "exit_code", "reason", "state", "target", "message")
"""What a line shows of an event's data, in this order."""


@click.command()
@server_options
@click.argument("job", required=False, callback=filled)
@click.option(
    "--after",
    type=click.IntRange(min=0),
    metavar="ID",
    help="Only what happened after this event; 0 is the beginning of all.",
)
@pass_settings
def watch(settings: Settings, job: str | None, after: int | None) -> int:
    """Print what happens to a job as it happens, from its beginning to its end; without JOB what happens to
    all jobs, from now on.

    A server that is restarted is waited for, and nothing is missed. With --json each line is an object. The
    exit code is 0 if the job was completed, 1 if it ended otherwise; it says nothing of thresholds.

    \b
    Examples:
      assay jobs watch last
      assay jobs watch
      assay jobs watch --after 0 --json | jq -r 'select(.type == "run.failed").data.message'
    """
    evaluations = settings.evaluations()
    job_id = resolve(evaluations, job) if job else None
    told = ""

    def away(error: ClientError) -> None:
        nonlocal told
        if str(error) != told:
            told = str(error)
            say("the server does not answer; waiting for it")

    last: dict[str, Any] = {}
    for last in evaluations.watch(job_id, after, away=away):
        told = ""
        click.echo(json.dumps(last) if settings.json else _line(last, job_id is None))
    return Exit.PASSED if last.get("data", {}).get("state") == JobState.COMPLETED else Exit.FAILED


def _line(event: dict[str, Any], with_job: bool) -> str:
    """Return an event as a line: its time, its type, which benchmark it is about, and what it says."""
    data = event.get("data", {})
    words = [str(event.get("at", ""))[11:19].ljust(8)]
    if with_job:
        words.append(str(event.get("job_id", "-")))
    words.append(str(event["type"]).ljust(16))
    if "benchmark_index" in data:
        words.append(f"[{data['benchmark_index']}]" + (f" attempt {data['attempt']}" if data.get("attempt", 1) > 1 else ""))
    if event["type"] == "run.progress":
        words.append(f"{data.get('done', 0)}/{data.get('total') or '?'} {data.get('phase', '')}")
    words += [f"{name}={data[name]}" for name in _SHOWN if data.get(name) not in (None, "")]
    return text.printable(" ".join(words)).rstrip()
