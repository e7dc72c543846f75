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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from assay import parent
from assay.cli.exits import CommandError, Exit

if TYPE_CHECKING:
    from assay.config import Settings


@dataclass(frozen=True)
class Engine:
    """An engine that can be installed, and where it is if it is."""

    name: str
    version: str
    path: str | None


def start_server(flags: Mapping[str, Any], *, worker: bool, file: Path | None, parent_pipe: bool = False) -> NoReturn:
    """Run the server until it is told to stop, or (`parent_pipe`) standard input ends; then end the process. A flag that is
    None was not given.

    What makes the start fail is also written to the termination file, if there is one.
    """
    from assay.cli.hiding import hide_passwords
    from assay.config import load, located
    from assay.config.masking import passwords
    from assay.model.errors import AssayError

    if parent_pipe:
        parent.end_with_it()
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


def start_worker(
    flags: Mapping[str, Any],
    *,
    server: str,
    name: str | None,
    key: str,
    parent_pipe: bool,
    gpus: int | None,
    labels: Mapping[str, str],
) -> NoReturn:
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
            cache_bytes=settings.cache_bytes,
            parent_pipe=parent_pipe,
            gpus=gpus,
            labels=labels,
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


def make_backup(
    flags: Mapping[str, Any], file: Path | None, target: Path, *, keep: int, allow_missing: bool
) -> dict[str, Any]:
    """Make a backup of the server with these settings, and say what is in it."""
    from assay.backup.making import make

    with _errors_told():
        os.nice(10)  # the server comes first
        made = make(_settings(flags, file), target, keep=keep, allow_missing=allow_missing)
    deleted = [str(path) for path in made.deleted]
    return _backup(made.path, made.manifest) | {"written": made.written, "deleted": deleted}


def verify_backups(path: Path, *, every: bool) -> list[dict[str, Any]]:
    """Check a backup, or the newest or `every` one in a folder; a damaged one ends it with exit code 1."""
    from assay.backup.checking import check
    from assay.backup.folder import backups, chosen
    from assay.model.errors import BackupDamaged

    with _errors_told():
        found = (backups(path) if every else []) or [chosen(path)]
        checked, damaged = [], []
        for one in found:
            try:
                checked.append(_backup(one, check(one)))
            except BackupDamaged as error:
                damaged.append(error.message)
    if damaged:
        raise CommandError("\n".join(damaged), Exit.FAILED)
    return checked


def list_backups(folder: Path) -> list[dict[str, Any]]:
    """Return what the manifests of the backups in a folder say."""
    from assay.backup.folder import backups
    from assay.backup.manifest import read

    with _errors_told():
        return [_backup(path, read(path)) for path in backups(folder)]


def restore_backup(flags: Mapping[str, Any], source: Path, *, replace: bool) -> dict[str, Any]:
    """Restore a backup into the place that these settings name, and say what is there."""
    from assay.backup.restoring import restore

    with _errors_told():
        done = restore(source, _settings(flags, None), replace=replace)
    return _backup(done.backup, done.manifest) | {
        "backup": str(done.backup),
        "data": str(done.data),
        "database": done.database,
        "migrations": done.migrations,
        "replaced": str(done.replaced) if done.replaced else None,
    }


def _backup(path: Path, manifest: Any) -> dict[str, Any]:
    return {
        "path": str(path),
        "created_at": manifest.created_at,
        "assay": manifest.assay,
        "database": manifest.database,
        "schema": manifest.schema,
        **{table: manifest.counts.get(table, 0) for table in ("jobs", "runs", "events")},
        "files": len(manifest.files),
        "size": manifest.size,
        "missing": len(manifest.missing),
    }


def _settings(flags: Mapping[str, Any], file: Path | None) -> Settings:
    """Return the settings that a server would have, and take passwords off the command line."""
    from assay.cli.hiding import hide_passwords
    from assay.config import load, located

    settings = load(flags, file=located(file))
    hide_passwords(settings.database)
    return settings


@contextlib.contextmanager
def _errors_told() -> Iterator[None]:
    """Turn what a program refuses into one line."""
    from assay.model.errors import AssayError

    try:
        yield
    except AssayError as error:
        raise CommandError(error.message) from None
