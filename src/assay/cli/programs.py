"""The other programs of Assay, started from the command line.

Only this module of the command line reaches into them, and only inside the function that starts one, so that
every other command stays light.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from assay.cli.exits import CommandError, Exit


@dataclass(frozen=True)
class Engine:
    """An engine that can be installed, and where it is if it is."""

    name: str
    version: str
    path: str | None


def start_server(flags: Mapping[str, Any], *, worker: bool, file: Path | None) -> NoReturn:
    """Run the server until it is told to stop, then end the process. A flag that is None was not given.

    What makes the start fail is also written to the termination file, if there is one.
    """
    from assay.cli.hiding import hide_passwords
    from assay.config import load, located
    from assay.config.masking import passwords
    from assay.model.errors import AssayError

    early = os.environ.get("ASSAY_TERMINATION_FILE")
    termination = Path(early) if early else None
    try:
        settings = load(flags, file=located(file))
        termination = settings.termination_file
        for url in (settings.database, settings.redis):
            hide_passwords(url)
        from assay.server.program import serve

        secrets = (settings.mlflow_token, *passwords(settings.database), *passwords(settings.redis))
        _log_to_stderr(settings.log_level, *secrets)
        serve(settings, worker=worker)
    except AssayError as error:
        if termination:
            with contextlib.suppress(OSError):  # the message goes to stderr in any case
                termination.write_text(f"{error.message}\n", encoding="utf-8")
        raise CommandError(error.message) from None
    _leave()


def create_key_offline(flags: Mapping[str, Any], request: Mapping[str, Any], *, file: Path | None) -> dict[str, Any]:
    """Make an API key at the database that the settings name, without a server; return its document and its text."""
    from assay.cli.hiding import hide_passwords
    from assay.config import load, located
    from assay.model.errors import AssayError

    try:
        settings = load(flags, file=located(file))
        hide_passwords(settings.database)
        from assay.server.access.offline import create_key

        return create_key(settings, request)
    except AssayError as error:
        raise CommandError(error.message) from None


def start_worker(flags: Mapping[str, Any], *, server: str, name: str | None, key: str, parent_pipe: bool) -> NoReturn:
    """Run a worker until it is told to stop, then end the process."""
    from assay.config import load
    from assay.gateway import MlflowServer
    from assay.model.errors import AssayError
    from assay.worker.program import WorkerOptions, work

    try:
        settings = load(flags)
        _log_to_stderr(settings.log_level, key, settings.mlflow_token)
        options = WorkerOptions(
            server=server,
            name=name or platform.node() or "worker",
            key=key,
            data=settings.data,
            secrets_dir=settings.secrets_dir,
            engines_dir=settings.engines_dir,
            slots=settings.slots,
            max_log_bytes=settings.max_log_bytes,
            keep_folders_s=settings.keep_folders_seconds,
            run_timeout_s=settings.run_timeout_seconds,
            parent_pipe=parent_pipe,
            mlflow=MlflowServer.of(settings),
        )
        work(options)
    except AssayError as error:
        raise CommandError(error.message) from None
    _leave()


def _log_to_stderr(level: str, *secrets: str) -> None:
    """Send the program's log to stderr, redacted."""
    from assay.telemetry.log_redaction import redact_logging
    from assay.telemetry.redaction import Redactor

    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    redact_logging(Redactor(secrets))


def _leave() -> NoReturn:
    """End the process without taking the interpreter apart, which threads of granian may not survive."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def catalogue_counts(folders: Sequence[Path]) -> dict[str, int]:
    """Return how many providers and collections the catalogue has with `folders`, whose files must all be valid."""
    from assay.model.errors import CatalogueInvalid
    from assay.scheduler.catalogue import load

    try:
        entries = load(folders, strict=True).entries
    except CatalogueInvalid as error:
        raise CommandError(error.message) from None
    return {f"{kind}s": len(found) for kind, found in entries.items()}


def engines(folder: Path) -> list[Engine]:
    """Return the engines that `install_engine` knows, with the path of those in `folder`."""
    from assay.engines.environments import catalogued, environment

    found = []
    for release in catalogued():
        installed = environment(folder, release.name)
        found.append(Engine(release.name, release.version, str(installed.path) if installed else None))
    return found


def install_engine(folder: Path, name: str, report: Callable[[str], None]) -> Engine:
    """Install engine `name` into `folder`, telling each step to `report`; an installed one is left as it
    is.
    """
    from assay.engines.environments import EngineInstallError, install, release

    try:
        release(name)
    except EngineInstallError as error:
        raise CommandError(str(error)) from None
    try:
        made = install(folder, name, report=report)
    except EngineInstallError as error:
        raise CommandError(str(error), Exit.FAILED) from None
    return Engine(made.name, made.version, str(made.path))
