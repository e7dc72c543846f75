"""`assay keys`: who may use a server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from assay.cli import text
from assay.cli.exits import CommandError, say
from assay.cli.given import filled
from assay.cli.lazy import Entry, LazyGroup
from assay.cli.programs import create_key_offline
from assay.cli.settings import Settings, pass_settings, server_options
from assay.cli.several import each
from assay.client.keys import Keys

_UNITS = {"m": 60, "h": 3600, "d": 86400}


@click.group(
    cls=LazyGroup,
    table={
        "create": Entry("assay.cli.keys:create", "Make a key; it is shown once."),
        "list": Entry("assay.cli.keys:list_keys", "List the keys, without their secrets."),
        "revoke": Entry("assay.cli.keys:revoke", "Let keys count no more."),
    },
)
@server_options
def keys() -> None:
    """Say who may use a server: API keys, each of one user and tenant, with roles.

    As soon as a server has a key, every call needs one. The first is made where the server keeps its data, before it
    runs; it makes the others.

    \b
    Examples:
      assay keys create root --role admin --all-tenants --offline --out admin.key
      export ASSAY_API_KEY_FILE=admin.key               # commands use it from now on
      assay keys create ann --role user --tenant team-a --expires-in 90d
      assay keys list
    """


@click.command()
@server_options
@click.argument("name", callback=filled)
@click.option(
    "--role", "roles", multiple=True, required=True, help="admin, operator, user, viewer, worker; may be repeated."
)
@click.option("--user", help="Whom the key speaks for; * for whoever X-User names (else NAME).")
@click.option("--all-tenants", is_flag=True, help="A key for every tenant: for workers and administrators.")
@click.option("--expires-in", metavar="TIME", help="How long it counts: 90d, 12h, 30m (else for ever).")
@click.option("--address", "addresses", multiple=True, metavar="CIDR", help="Where it may be used from; may be repeated.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the key into this new file, which only you can read, instead of showing it.",
)
@click.option("--offline", is_flag=True, help="Write into the database itself, without a server: for the first key.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Offline: the server's data folder.")
@click.option("--database", help="Offline: the server's database. Put a URL with a password into ASSAY_DATABASE.")
@click.option("--config", type=click.Path(exists=True, path_type=Path), help="Offline: the server's settings file.")
@pass_settings
def create(
    settings: Settings,
    name: str,
    roles: tuple[str, ...],
    user: str | None,
    all_tenants: bool,
    expires_in: str | None,
    addresses: tuple[str, ...],
    out: Path | None,
    offline: bool,
    data: Path | None,
    database: str | None,
    config: Path | None,
) -> None:
    """Make a key for NAME. It is printed once; the server keeps only its SHA-256.

    A viewer reads, a user submits too, an operator looks after workers and metrics, an admin makes keys, a worker
    carries runs out.

    \b
    Examples:
      assay keys create root --role admin --all-tenants --offline --data /srv/assay --out admin.key
      assay keys create ann --role user --tenant team-a --expires-in 90d
      assay keys create gpu-box --role worker --all-tenants --out worker.key    # then: assay worker --key-file worker.key
    """
    tenant = settings.tenant or os.environ.get("ASSAY_TENANT", "")
    request: dict[str, Any] = {"name": name, "roles": list(roles), "addresses": list(addresses)}
    if all_tenants and tenant:
        raise click.UsageError("A key is of one tenant or of all: give --tenant or --all-tenants.")
    if all_tenants or tenant:
        request["tenant"] = "*" if all_tenants else tenant
    if user:
        request["user"] = user
    if expires_in:
        request["expires_in_seconds"] = _seconds(expires_in)
    if out and out.exists():
        raise CommandError(f"{out} is there already: name a new file, or delete it first.")
    if offline or data or database or config:
        made = create_key_offline({"data": data, "database": database}, request, file=config)
    else:
        made = Keys(settings.http()).create(request)
    _hand_over(settings, made, out)


def _hand_over(settings: Settings, made: dict[str, Any], out: Path | None) -> None:
    if out:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{made.pop('key')}\n")
    if settings.json:
        click.echo(json.dumps(made))
    elif not out:
        click.echo(made["key"])
    where = f"is in {out}" if out else "stands above, and is not shown again"
    say(f"The key {made['id']} of {made['name']} ({', '.join(made['roles'])}) {where}.")
    if list(made["roles"]) == ["worker"]:
        say("Use it with `assay worker --key-file FILE` or ASSAY_WORKER_KEY.")
    else:
        say("Use it with ASSAY_API_KEY or --key-file; others can read what stands on a command line.")


@click.command("list")
@server_options
@pass_settings
def list_keys(settings: Settings) -> None:
    """List the keys of the tenant, or with a key for every tenant all keys.

    \b
    Examples:
      assay keys list
      assay keys list --json | jq -r '.items[] | select(.state == "active") | .id'
    """
    found = Keys(settings.http()).list()
    if settings.json:
        click.echo(json.dumps({"items": found}))
        return
    rows = [
        (
            str(key["id"]),
            text.shortened(str(key["name"]), 24),
            text.shortened(str(key["tenant"]) or "-", 24),
            text.shortened(str(key["user"]), 24),
            ", ".join(map(str, key["roles"])),
            str(key["state"]),
            _moment(key.get("last_used_at")),
            _moment(key.get("expires_at")),
        )
        for key in found
    ]
    click.echo(text.table(("ID", "NAME", "TENANT", "USER", "ROLES", "STATE", "LAST USED", "EXPIRES"), rows))


@click.command()
@server_options
@click.argument("ids", nargs=-1, required=True, callback=filled)
@pass_settings
def revoke(settings: Settings, ids: tuple[str, ...]) -> int:
    """Revoke keys, named by their ids: the middle part of a key. It holds at once, and for good.

    \b
    Examples:
      assay keys list                       # the ids
      assay keys revoke 4f1c09aa73de
    """
    return each(settings, ids, Keys(settings.http()).revoke, "revoked")


def _seconds(given: str) -> int:
    number, unit = given[:-1], given[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()) or not int(number):
        raise click.UsageError(f"'{given}' is no length of time: write it as 90d, 12h or 30m.")
    return int(number) * _UNITS[unit]


def _moment(given: object) -> str:
    return str(given)[:16].replace("T", " ") if given else "-"
