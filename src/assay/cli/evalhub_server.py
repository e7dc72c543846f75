"""`assay-evalhub-server`: Assay under the arguments of EvalHub's own programs, so that `evalhub server run` starts it.

EvalHub's CLI starts two programs, the server (`-local -configdir DIR`) and before it a sidecar (`-sidecarconfig FILE`), and
waits for the health of both. This is either, by its arguments. Assay's gateway, which each worker has, does what the sidecar
is for; so as a sidecar this program only says that it is there.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from assay import eventloop, listening
from assay.cli.exits import CommandError, run
from assay.cli.programs import start_server
from assay.model.errors import CannotListen

_FOLDERS = ("config", "../../config", "../../../config")
"""Where EvalHub looks for its configuration when nothing names it."""


@click.command(context_settings={"help_option_names": ["-h", "-help", "--help"]})
@click.option(
    "-local",
    "--local",
    type=click.BOOL,
    is_flag=False,
    flag_value="true",
    metavar="",
    help="Run evaluations as processes of this machine, as this server always does.",
)
@click.option(
    "-configdir",
    "--configdir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with EvalHub's config.yaml (else EVAL_HUB_CONFIG_DIR, else the nearest folder config).",
)
@click.option(
    "-sidecarconfig",
    "--sidecarconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Stand in for EvalHub's sidecar instead: answer GET /health at the base_url of this JSON file.",
)
def evalhub_server(local: bool | None, configdir: Path | None, sidecarconfig: Path | None) -> None:
    """Start Assay from a configuration directory of EvalHub's. Arguments may have one dash or two.

    \b
    Examples:
      assay-evalhub-server -local -configdir /etc/evalhub
      EVALHUB_SERVER_BIN=$(command -v assay-evalhub-server) EVALHUB_SIDECAR_BIN=$EVALHUB_SERVER_BIN evalhub server run
    """
    if sidecarconfig:
        _stand_in(sidecarconfig)
        return
    start_server({}, worker=True, file=configdir or _found())


def _found() -> Path:
    named = os.environ.get("EVAL_HUB_CONFIG_DIR")
    for folder in [named] if named else _FOLDERS:
        if Path(folder, "config.yaml").is_file():
            return Path(folder)
    raise CommandError("There is no config.yaml here: name its folder with -configdir or EVAL_HUB_CONFIG_DIR.")


def _stand_in(file: Path) -> None:
    """Answer GET /health where EvalHub's sidecar would, until SIGINT or SIGTERM."""
    try:
        port = urlsplit(str(json.loads(file.read_text(encoding="utf-8"))["base_url"])).port
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(
            f"{file} must be a JSON object with a base_url such as http://localhost:8082 ({error!r})."
        ) from None
    if port is None:
        raise CommandError(f"The base_url of {file} needs a port, such as http://localhost:8082.")

    async def nothing() -> None:
        pass

    try:
        with listening.bind("127.0.0.1", port) as listener:
            eventloop.run(listening.serve(_health, listener, nothing))
    except CannotListen as error:
        raise CommandError(error.message) from None
    os._exit(0)


async def _health(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    well = scope["path"] == "/health"
    text = b'{"status":"healthy"}\n' if well else b"Assay's gateway does the sidecar's work; only /health is here.\n"
    media_type = b"application/json" if well else b"text/plain; charset=utf-8"
    headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": 200 if well else 404, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def main() -> None:
    """Run the program and exit with its code."""
    sys.exit(run(evalhub_server, "assay-evalhub-server"))
