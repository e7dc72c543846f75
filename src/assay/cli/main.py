"""The `assay` command: its table of commands, and the way in."""

from __future__ import annotations

import sys
from typing import Any

import click

from assay.cli.exits import run
from assay.cli.lazy import Entry, LazyGroup
from assay.cli.settings import server_options

COMMANDS = {
    "demo": Entry("assay.cli.demo:demo", "See a real evaluation from end to end; the first time it installs an engine."),
    "eval": Entry("assay.cli.evaluate:evaluate", "Submit an evaluation, watch it, and say whether it passed."),
    "jobs": Entry("assay.cli.jobs:jobs", "List, show, cancel and delete jobs; read their logs."),
    "queue": Entry("assay.cli.queue:queue", "Show what waits, for what, and when it should start."),
    "providers": Entry("assay.cli.providers:providers", "Show what can be evaluated: providers and benchmarks."),
    "webhooks": Entry("assay.cli.webhooks:webhooks", "Have changes of jobs and runs sent to a URL."),
    "serve": Entry("assay.cli.serve:serve", "Start the server, with a worker beside it."),
    "worker": Entry("assay.cli.worker:worker", "Start a worker for a server, on this or another machine."),
    "keys": Entry("assay.cli.keys:keys", "Say who may use a server: make, list and revoke API keys."),
    "workers": Entry("assay.cli.workers:workers", "List, show, drain, pause, resume and forget workers."),
    "engines": Entry("assay.cli.engines:engines", "Install the evaluation libraries that runs need."),
    "catalog": Entry("assay.cli.catalog:catalog", "Check catalogue files before a server reads them."),
    "config": Entry("assay.cli.config:config", "Show the settings in force, and where each comes from."),
    "backup": Entry("assay.cli.backup:backup", "Back up what a server keeps, while it runs."),
    "restore": Entry("assay.cli.restore:restore", "Restore a backup into a new place."),
    "usage": Entry("assay.cli.maintenance:usage", "Show how much room jobs, artifacts and logs take."),
    "cleanup": Entry("assay.cli.maintenance:cleanup", "Delete what the settings do not ask to keep."),
    "practice-model": Entry(
        "assay.practice.command:practice_model",
        "Serve a small built-in model, for demos, tests and dry runs.",
    ),
    "completion": Entry("assay.cli.completion:completion", "Print the completion script for your shell."),
    "version": Entry("assay.cli.version:version", "Print the version."),
}


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@server_options
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=lambda *a: _version(*a),
    help="Print the version.",
)
def assay() -> None:
    """Assay evaluates language models: submit an evaluation, it runs somewhere safe, you watch it live, and
    what comes back can be trusted.

    \b
    Examples:
      assay demo                                  # everything at once, to see how it works
      assay serve                                 # the server, on http://127.0.0.1:8080
      assay eval practice/arithmetic --model-url http://127.0.0.1:8400/v1
      assay jobs list
      assay COMMAND --help                        # what a command does, with examples

    Exit codes: 0 passed, 1 failed or below a threshold, 2 wrong arguments or input, 3 server not reachable,
    4 interrupted or timed out.
    """


def _version(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value and not ctx.resilient_parsing:
        from assay import __version__

        click.echo(f"assay {__version__}")
        ctx.exit()


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(assay, "assay"))
