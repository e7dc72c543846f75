"""`assay serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from assay.cli.programs import start_server


@click.command()
@click.option("--host", help="Address to listen on (ASSAY_HOST; else 127.0.0.1).")
@click.option(
    "--open-access",
    is_flag=True,
    default=None,
    help="Listen on an address that others reach although there is no API key (ASSAY_OPEN_ACCESS).",
)
@click.option("--port", help="Port to listen on; 0 picks a free one (ASSAY_PORT; else 8080).")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for everything that is kept (ASSAY_DATA; else ~/.local/share/assay).",
)
@click.option(
    "--catalog",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with providers/*.yaml and collections/*.yaml; may be repeated (ASSAY_CATALOG).",
)
@click.option(
    "--database",
    help="PostgreSQL URL, file:PATH or memory (else a SQLite file in the data folder). Put a password into "
    "ASSAY_DATABASE: others can read options.",
)
@click.option(
    "--redis",
    help="URL of a Redis that servers share. Put one with a password into ASSAY_REDIS: others can read options.",
)
@click.option("--slots", help="Runs executed at once by the worker (ASSAY_SLOTS; else the number of CPUs).")
@click.option("--tls-cert-file", help="Certificate chain (PEM): serve https (ASSAY_TLS_CERT_FILE).")
@click.option("--tls-key-file", help="Key of the certificate (ASSAY_TLS_KEY_FILE).")
@click.option("--metrics-port", help="Serve /metrics on a port of its own too, over plain HTTP (ASSAY_METRICS_PORT).")
@click.option("--metrics-host", help="Address of that port (ASSAY_METRICS_HOST; else 127.0.0.1).")
@click.option("--no-worker", is_flag=True, help="Do not start a worker beside the server.")
@click.option("--log-level", help="debug, info, warning or error (ASSAY_LOG_LEVEL; else info).")
@click.option(
    "--config",
    type=click.Path(exists=True, path_type=Path),
    help="Settings file (assay.toml, or EvalHub's config.yaml) or its folder (ASSAY_CONFIG; else EVAL_HUB_CONFIG_DIR).",
)
@click.option("--parent-pipe", is_flag=True, hidden=True, help="End when standard input does.")
def serve(no_worker: bool, config: Path | None, parent_pipe: bool, **flags: Any) -> None:
    """Start the server, with a worker beside it. It prints `assay ready on URL` once it answers.

    Everything is kept in the data folder and is there again after a restart. Ctrl-C stops it. On loopback it asks
    nobody for anything; for others to reach it make a key first (`assay keys --help`).

    \b
    Examples:
      assay serve                           # then, in another terminal: assay providers list
      assay serve --port 9000 --data /srv/assay --catalog ./catalogue
      assay serve --slots 4 --log-level debug
      assay serve --config /etc/evalhub     # a configuration directory of EvalHub's
      assay serve --no-worker               # workers run elsewhere: see `assay worker --help`
    """
    start_server(flags, worker=not no_worker, file=config, parent_pipe=parent_pipe)
