"""Options that commands share: which server, whose tenant, and whether a program or a person reads the
output.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from assay.client.evaluations import Evaluations
from assay.client.http import Http

DEFAULT_SERVER = "http://127.0.0.1:8080"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Settings:
    """What the shared options say. They may stand before the command or after it; the later one counts."""

    server: str = ""
    tenant: str = ""
    json: bool = False

    @property
    def server_url(self) -> str:
        """The server in force: option, then ASSAY_SERVER, then the local default."""
        return self.server or os.environ.get("ASSAY_SERVER") or DEFAULT_SERVER

    def http(self) -> Http:
        """Return a connection to the server. The key comes from the environment, never from argv."""
        try:
            return Http(
                self.server_url,
                key=os.environ.get("ASSAY_KEY") or None,
                tenant=self.tenant or os.environ.get("ASSAY_TENANT") or None,
                user=os.environ.get("ASSAY_USER") or None,
            )
        except ValueError as error:
            raise click.UsageError(f"{error}.") from None

    def evaluations(self) -> Evaluations:
        """Return the evaluations of the server."""
        return Evaluations(self.http())


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


def server_options(function: F) -> F:
    """Add --server, --tenant and --json."""
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
