"""Options that commands share: which server, whose tenant, and whether a program or a person reads the
output.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from assay.cli.exits import say
from assay.client.evaluations import Evaluations
from assay.client.http import Http
from assay.client.webhooks import Webhooks

DEFAULT_SERVER = "http://127.0.0.1:8080"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Settings:
    """What the shared options say. They may stand before the command or after it; the later one counts."""

    server: str = ""
    tenant: str = ""
    key: str = field(default="", repr=False)
    key_file: str = ""
    json: bool = False

    @property
    def server_url(self) -> str:
        """The server in force: option, then ASSAY_SERVER, then the local default."""
        return self.server or os.environ.get("ASSAY_SERVER") or DEFAULT_SERVER

    def http(self) -> Http:
        """Return a connection to the server."""
        try:
            return Http(
                self.server_url,
                key=self.api_key(),
                tenant=self.tenant or os.environ.get("ASSAY_TENANT") or None,
                user=os.environ.get("ASSAY_USER") or None,
            )
        except ValueError as error:
            raise click.UsageError(f"{error}.") from None

    def api_key(self) -> str | None:
        """Return the key in force: of --key, --key-file, ASSAY_API_KEY, or the file that ASSAY_API_KEY_FILE names."""
        if self.key:
            return self.key
        if self.key_file:
            return key_in(Path(self.key_file))
        if given := os.environ.get("ASSAY_API_KEY", "").strip():
            return given
        named = os.environ.get("ASSAY_API_KEY_FILE")
        return key_in(Path(named)) if named else None

    def evaluations(self) -> Evaluations:
        """Return the evaluations of the server."""
        return Evaluations(self.http())

    def webhooks(self) -> Webhooks:
        """Return the webhooks of the server."""
        return Webhooks(self.http())


def key_in(file: Path) -> str:
    """Return the key in a file. Raises UsageError for one that holds none; warns of one that others can read."""
    try:
        key = file.expanduser().read_text(encoding="utf-8").strip()
        mode = file.expanduser().stat().st_mode
    except OSError as error:
        raise click.UsageError(f"The key file {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"The key file {file} is not text.") from None
    if not key:
        raise click.UsageError(f"The key file {file} is empty.")
    if mode & 0o004:
        say(f"warning: others on this machine can read {file}; `chmod 600 {file}` keeps the key to you")
    return key


def current(ctx: click.Context) -> Settings:
    """Return the settings of this invocation."""
    return ctx.find_root().ensure_object(Settings)


def pass_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the settings to a command as its first argument."""

    def with_settings(*args: Any, **kwargs: Any) -> Any:
        return function(current(click.get_current_context()), *args, **kwargs)

    with_settings.__name__, with_settings.__doc__ = function.__name__, function.__doc__
    # click keeps the options that decorators below this one have declared on the function.
    with_settings.__dict__.update(function.__dict__)
    return with_settings


def _store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value and param.name:
        setattr(current(ctx), param.name, value)


def _store_hidden(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value:
        from assay.cli.hiding import hide

        hide(value)
    _store(ctx, param, value)


def server_options(function: F) -> F:
    """Add --server, --tenant, --key-file, --key and --json."""
    options = (
        click.option(
            "--server",
            metavar="URL",
            expose_value=False,
            callback=_store,
            help=f"The server to talk to (ASSAY_SERVER; else {DEFAULT_SERVER}).",
        ),
        click.option(
            "--tenant",
            metavar="NAME",
            expose_value=False,
            callback=_store,
            help="Work as this tenant (ASSAY_TENANT).",
        ),
        click.option(
            "--key-file",
            metavar="FILE",
            expose_value=False,
            callback=_store,
            help="File with your API key (ASSAY_API_KEY_FILE; or the key itself in ASSAY_API_KEY).",
        ),
        click.option(
            "--key",
            metavar="KEY",
            expose_value=False,
            callback=_store_hidden,
            help="Your API key. Others may see a command line, and the shell keeps it: prefer --key-file.",
        ),
        json_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


def json_option(function: F) -> F:
    """Add --json."""
    return click.option("--json", is_flag=True, expose_value=False, callback=_store, help="Print JSON for programs.")(
        function
    )
