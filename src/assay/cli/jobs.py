"""`assay jobs`: list, show, cancel, delete. Logs and artifacts are in modules of their own."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from assay.cli import results, text
from assay.cli.exits import CommandError, Exit, say
from assay.cli.given import filled
from assay.cli.lazy import Entry, LazyGroup
from assay.cli.settings import Settings, pass_settings, server_options
from assay.cli.several import each
from assay.client.evaluations import Evaluations, identity, state
from assay.model.states import JobState

_HERE = "assay.cli.jobs"
_STATES = [str(known) for known in JobState]


@click.group(
    cls=LazyGroup,
    table={
        "list": Entry(f"{_HERE}:list_jobs", "List jobs, newest first."),
        "show": Entry(f"{_HERE}:show", "Show a job: its state, progress and results."),
        "watch": Entry("assay.cli.job_watch:watch", "Print what happens to a job, or to all, as it happens."),
        "logs": Entry("assay.cli.job_logs:logs", "Print what the runs of a job have written; -f follows."),
        "artifacts": Entry("assay.cli.job_artifacts:artifacts", "List or download what a job has kept."),
        "cancel": Entry(f"{_HERE}:cancel", "Stop a job."),
        "delete": Entry(f"{_HERE}:delete", "Delete a job with its logs and artifacts."),
    },
)
@server_options
def jobs() -> None:
    """Look at jobs and steer them. A job is named by its id, or by `last` for the newest.

    \b
    Examples:
      assay jobs list --status running
      assay jobs show last
      assay jobs logs last -f
    """


def resolve(evaluations: Evaluations, job_id: str) -> str:
    """Return the id that `last` (or `@last`) stands for; any other id is returned as it is."""
    if job_id not in ("last", "@last"):
        return job_id
    newest = evaluations.newest()
    if newest is None:
        raise CommandError("There is no job yet. Submit one with `assay eval`.")
    return identity(newest)


@click.command("list")
@server_options
@click.option("--status", type=click.Choice(_STATES), multiple=True, help="Only jobs in this state; may be repeated.")
@click.option("--name", help="Only jobs of exactly this name.")
@click.option("--tag", "tags", multiple=True, help="Only jobs with this tag; repeated: with all of them.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="At most this many.")
@click.option("--all", "everything", is_flag=True, help="All of them, however many.")
@pass_settings
def list_jobs(
    settings: Settings,
    status: tuple[str, ...],
    name: str | None,
    tags: tuple[str, ...],
    limit: int,
    everything: bool,
) -> None:
    """List jobs, newest first.

    \b
    Examples:
      assay jobs list
      assay jobs list --status failed --status partially_failed
      assay jobs list --tag nightly --limit 100
      assay jobs list --all --json | jq -r '.items[].resource.id'
    """
    evaluations = settings.evaluations()
    states, all_tags = ",".join(status) or None, ",".join(tags) or None
    if everything:
        items = list(evaluations.iterate(status=states, name=name, tags=all_tags))
        total = len(items)
    else:
        page = evaluations.list(limit=limit, status=states, name=name, tags=all_tags)
        items, total = page["items"], page.get("total_count", 0)
    if settings.json:
        click.echo(json.dumps({"total_count": total, "items": items}))
        return
    if not items:
        matching = "that match" if states or name or all_tags else "yet"
        say(f"There are no jobs {matching}. `assay eval` submits one, `assay demo` shows how.")
        return
    headings = ("ID", "NAME", "STATE", "MODEL", "BENCHMARKS", "AGE")
    click.echo(text.table(headings, [_listed(job) for job in items]))
    if total > len(items):
        say(f"{len(items)} of {total} jobs; --limit and --all show more.")


def _listed(job: dict[str, Any]) -> tuple[str, ...]:
    names = results.labels(job)
    what = names[0] + (f" +{len(names) - 1}" if len(names) > 1 else "") if names else "-"
    return (
        identity(job),
        text.shortened(str(job.get("name", "")), 32),
        state(job),
        text.shortened(str(job.get("model", {}).get("name", "")), 24),
        text.shortened(what, 40),
        text.age(job.get("resource", {}).get("created_at", "")),
    )


@click.command()
@server_options
@click.argument("job", callback=filled)
@click.option(
    "-f",
    "--follow",
    "following",
    is_flag=True,
    help="Watch it until it has ended; the exit code says how.",
)
@pass_settings
def show(settings: Settings, job: str, following: bool) -> int:
    """Show a job: its state, the progress of each benchmark, and its results.

    With --follow the exit code is that of `assay eval`: 0 passed, 1 failed or below a threshold.

    \b
    Examples:
      assay jobs show last
      assay jobs show 01976f0e-7c1a-7b5e-9d53-3f1d5c0a9b11 --json
      assay jobs show last --follow
    """
    evaluations = settings.evaluations()
    job_id = resolve(evaluations, job)
    if following:
        from assay.cli.follow import follow_to_end

        return follow_to_end(settings, evaluations, job_id)
    found = evaluations.get(job_id)
    if settings.json:
        click.echo(json.dumps(found))
        return Exit.PASSED
    for name, value in _facts(found):
        click.echo(f"{name + ':':<12}{text.printable(value)}")
    click.echo()
    if found.get("results", {}).get("benchmarks"):
        from assay.cli.result_table import show as show_results

        show_results(found)
        return Exit.PASSED
    click.echo(text.table(("BENCHMARK", "STATUS", "PROGRESS", "PHASE"), _progress(found)))
    for line in results.problems(found):
        click.echo(line)
    return Exit.PASSED


def _facts(job: dict[str, Any]) -> list[tuple[str, str]]:
    resource, model = job.get("resource", {}), job.get("model", {})
    facts = [
        ("id", identity(job)),
        ("name", job.get("name", "")),
        ("state", state(job)),
        ("model", f"{model.get('name', '')} at {model.get('url', '')}"),
        ("tags", ", ".join(job.get("tags") or [])),
        ("owner", resource.get("owner", "")),
        ("tenant", resource.get("tenant", "")),
        ("created", f"{resource.get('created_at', '')} ({text.age(resource.get('created_at', ''))} ago)"),
    ]
    return [(name, str(value)) for name, value in facts if value]


def _progress(job: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    rows = results.statuses(job)
    made = []
    for index, name in enumerate(results.labels(job)):
        row = rows.get(index, {})
        far = row.get("progress") or {}
        shown = f"{far.get('done', 0)}/{far['total']}" if far.get("total") else "-"
        made.append((name, str(row.get("status", "pending")), shown, str(row.get("phase", "-"))))
    return made


@click.command()
@server_options
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB...", callback=filled)
@pass_settings
def cancel(settings: Settings, job_ids: tuple[str, ...]) -> int:
    """Stop jobs. What has been measured until then is kept. A job that has ended otherwise cannot be cancelled: that is
    an error, with exit code 2, once the others are cancelled.

    \b
    Examples:
      assay jobs cancel last
      assay jobs list --status running --json | jq -r '.items[].resource.id' | xargs assay jobs cancel
    """
    evaluations = settings.evaluations()
    found = [resolve(evaluations, job_id) for job_id in job_ids]
    return each(settings, found, evaluations.cancel, "cancelled")


@click.command()
@server_options
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB...", callback=filled)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@pass_settings
def delete(settings: Settings, job_ids: tuple[str, ...], yes: bool) -> int:
    """Delete jobs for good, with their logs and artifacts; running ones are stopped. One that is unknown is an error, with
    exit code 2, once the others are deleted.

    \b
    Examples:
      assay jobs delete 01976f0e-7c1a-7b5e-9d53-3f1d5c0a9b11
      assay jobs delete last --yes
    """
    evaluations = settings.evaluations()
    found = list(dict.fromkeys(resolve(evaluations, job_id) for job_id in job_ids))
    if not yes:
        if not sys.stdin.isatty():
            raise CommandError("Deleting needs a yes, and nobody is there to ask: add --yes.")
        names = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
        click.confirm(f"Delete {names} with logs and artifacts?", abort=True, err=True)
    return each(settings, found, evaluations.delete, "deleted")
