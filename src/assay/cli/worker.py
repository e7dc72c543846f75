"""`assay worker`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from assay.cli.exits import CommandError
from assay.cli.programs import start_worker
from assay.cli.settings import DEFAULT_SERVER, key_in

KEY_VARIABLE = "ASSAY_WORKER_KEY"


@click.command()
@click.option("--server", envvar="ASSAY_SERVER", default=DEFAULT_SERVER, show_default=True, help="Server to work for.")
@click.option("--name", help="Name of this worker, one of its kind (default: the name of the machine).")
@click.option("--slots", help="Runs executed at once (ASSAY_SLOTS; else the number of CPUs).")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for run directories and engines (ASSAY_DATA; else ~/.local/share/assay).",
)
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"File with the worker's key; without it the environment variable {KEY_VARIABLE}.",
)
@click.option(
    "--gpus",
    type=click.IntRange(min=0),
    help="GPUs that runs may be given (default: those that nvidia-smi finds).",
)
@click.option(
    "--label",
    "labels",
    metavar="KEY=VALUE",
    multiple=True,
    callback=lambda _ctx, _param, values: dict(_label(value) for value in values),
    help="What runs may ask a worker to have; may be repeated.",
)
@click.option("--log-level", help="debug, info, warning or error (ASSAY_LOG_LEVEL; else info).")
@click.option("--parent-pipe", is_flag=True, hidden=True, help="End when standard input does.")
def worker(
    server: str,
    name: str | None,
    slots: str | None,
    data: Path | None,
    key_file: Path | None,
    gpus: int | None,
    labels: dict[str, str],
    log_level: str | None,
    parent_pipe: bool,
) -> None:
    """Start a worker: it takes runs from the server, executes them here and brings back the results.

    `assay serve` starts one by itself. Start more for more slots, on this or other machines. The key comes
    from a file or the environment, never from the command line, which others can read.

    \b
    Examples:
      assay keys create gpu-box --role worker --all-tenants --out worker.key      # at the server
      assay engines install lm_eval                                               # here, before the worker starts
      assay worker --server https://eval.example --key-file worker.key --name gpu-box --label site=berlin
      assay workers list                                                          # is it there?
    """
    flags = {"slots": slots, "data": data, "log_level": log_level}
    start_worker(flags, server=server, name=name, key=_key(key_file), parent_pipe=parent_pipe, gpus=gpus, labels=labels)


def _label(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise click.BadParameter(f"'{text}' is no label; write it as KEY=VALUE")
    return key, value


def _key(file: Path | None) -> str:
    key = key_in(file) if file else os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        remedy = "`assay keys create NAME --role worker --all-tenants` makes one"
        raise CommandError(f"A worker needs a key: {KEY_VARIABLE} is not set, and there is no --key-file. {remedy}.")
    return key
