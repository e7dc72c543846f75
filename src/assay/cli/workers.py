"""`assay workers`: who carries the runs out."""

from __future__ import annotations

import json
from typing import Any

import click

from assay.cli import text
from assay.cli.exits import say
from assay.cli.given import filled
from assay.cli.lazy import Entry, LazyGroup
from assay.cli.settings import Settings, pass_settings, server_options
from assay.cli.several import each
from assay.client.fleet import Fleet


@click.group(
    cls=LazyGroup,
    table={
        "list": Entry("assay.cli.workers:list_workers", "List the workers of the server."),
        "show": Entry("assay.cli.workers:show", "Show what a worker has, does and may do."),
        "drain": Entry("assay.cli.workers:drain", "Let a worker finish what it holds, then end."),
        "pause": Entry("assay.cli.workers:pause", "Let a worker take no more runs for now."),
        "resume": Entry("assay.cli.workers:resume", "Let a worker take runs again."),
        "forget": Entry("assay.cli.workers:forget", "Take workers that are gone off the list."),
    },
)
@server_options
def workers() -> None:
    """See who carries the runs out, and take workers out of service. `assay worker` starts one.

    \b
    Examples:
      assay workers list
      assay workers drain gpu-box           # before its machine is switched off
    """


@click.command("list")
@server_options
@pass_settings
def list_workers(settings: Settings) -> None:
    """List the workers of the server, by name. SEEN is how long ago one was heard; `silent` for longer than its lease.

    \b
    Examples:
      assay workers list
      assay workers list --json
    """
    found = Fleet(settings.http()).list()
    if settings.json:
        click.echo(json.dumps({"items": found}))
        return
    if not found:
        say("No worker has registered. `assay worker --server URL` starts one.")
        return
    headings = ("WORKER", "STATE", "SEEN", "RUNS", "CPUS", "MEMORY", "GPUS", "LABELS", "ENGINES")
    click.echo(text.table(headings, [_row(item) for item in found], frozenset({3, 4, 5, 6})))


@click.command()
@server_options
@click.argument("worker", callback=filled)
@pass_settings
def show(settings: Settings, worker: str) -> None:
    """Show what a worker has announced, what it may do, and which runs of yours it holds.

    \b
    Examples:
      assay workers show gpu-box
      assay workers show gpu-box --json
    """
    _tell(settings, Fleet(settings.http()).show(worker))


@click.command()
@server_options
@click.argument("worker", callback=filled)
@pass_settings
def drain(settings: Settings, worker: str) -> None:
    """Let a worker take no more runs. Its process ends, with exit code 0, as soon as what it holds has ended.

    \b
    Examples:
      assay workers drain gpu-box
      assay workers show gpu-box            # what it still holds
    """
    _tell(settings, Fleet(settings.http()).direct(worker, "drain"))


@click.command()
@server_options
@click.argument("worker", callback=filled)
@pass_settings
def pause(settings: Settings, worker: str) -> None:
    """Let a worker take no more runs until it is resumed, also after a restart of it. What it holds goes on.

    \b
    Examples:
      assay workers pause gpu-box
      assay workers resume gpu-box
    """
    _tell(settings, Fleet(settings.http()).direct(worker, "pause"))


@click.command()
@server_options
@click.argument("worker", callback=filled)
@pass_settings
def resume(settings: Settings, worker: str) -> None:
    """Let a worker that is paused, or drains, take runs again.

    \b
    Examples:
      assay workers resume gpu-box
    """
    _tell(settings, Fleet(settings.http()).direct(worker, "resume"))


@click.command()
@server_options
@click.argument("names", metavar="WORKER...", nargs=-1, required=True, callback=filled)
@pass_settings
def forget(settings: Settings, names: tuple[str, ...]) -> int:
    """Take workers off the list that have ended or fallen silent and hold no runs. A pause is forgotten with them.

    \b
    Examples:
      assay workers forget gpu-box
    """
    return each(settings, names, Fleet(settings.http()).forget, "forgotten")


def _tell(settings: Settings, worker: dict[str, Any]) -> None:
    if settings.json:
        click.echo(json.dumps(worker))
        return
    rows = [
        ("worker", str(worker.get("name", ""))),
        ("state", str(worker.get("state", ""))),
        ("seen", _seen(worker)),
        ("runs", f"{worker.get('held', 0)} on {worker.get('slots', 0)} slots"),
        ("machine", f"{worker.get('cpus', 0)} CPUs, {text.size(worker.get('memory', 0))}"),
        *(("gpu", f"{gpu['id']}  {gpu.get('name', '')}  {_memory(gpu)}".rstrip()) for gpu in worker.get("gpus", [])),
        ("labels", _pairs(worker.get("labels", {}))),
        ("engines", _pairs(worker.get("engines", {}), " ")),
        ("version", f"{worker.get('version', '')} (protocol {worker.get('protocol', '')})"),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name.ljust(width)}  {text.printable(value)}")
    runs = worker.get("runs") or []
    if runs:
        click.echo()
        headings = ("JOB", "BENCHMARK", "STATE", "ATTEMPT", "DONE")
        click.echo(text.table(headings, [_run(run) for run in runs], frozenset({3, 4})))


def _row(worker: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(worker.get("name", "")),
        str(worker.get("state", "")),
        _seen(worker),
        f"{worker.get('held', 0)}/{worker.get('slots', 0)}",
        str(worker.get("cpus", 0)),
        text.size(worker.get("memory", 0)),
        str(len(worker.get("gpus", []))),
        text.shortened(_pairs(worker.get("labels", {})), 40),
        text.shortened(_pairs(worker.get("engines", {}), " "), 40),
    )


def _run(run: dict[str, Any]) -> tuple[str, ...]:
    benchmark = f"{run.get('provider_id', '')}/{run.get('id', '')}"
    return (
        str(run.get("job_id", "")),
        benchmark,
        str(run.get("phase") or run.get("state", "")),
        str(run.get("attempt", "")),
        f"{run.get('done', 0)}/{run.get('total', 0)}",
    )


def _seen(worker: dict[str, Any]) -> str:
    ago = text.age(str(worker.get("seen_at", "")))
    return f"{ago} ago" if worker.get("alive") else f"silent for {ago}"


def _memory(gpu: dict[str, Any]) -> str:
    return text.size(gpu["memory"]) if gpu.get("memory") else ""


def _pairs(values: dict[str, str], sign: str = "=") -> str:
    return ", ".join(f"{key}{sign}{value}" for key, value in values.items()) or "-"
