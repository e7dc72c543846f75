"""Commands that take several names: one that is refused does not keep the others from their turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import click

from assay.cli import text
from assay.cli.exits import Exit, code_of, say, told
from assay.cli.settings import Settings
from assay.client.errors import ServerError


def each(settings: Settings, names: Iterable[str], act: Callable[[str], object], done: str) -> Exit:
    """Call `act` with every name, once each, and say which are `done` ("cancelled"); with --json a list of them.

    What the server refuses is a line on stderr, and makes the exit code that of the error. An error that every name would
    meet (no server, a key that does not count) is raised, after the list.
    """
    code, list_of_done = Exit.PASSED, list[str]()
    try:
        for name in dict.fromkeys(names):
            try:
                act(name)
            except ServerError as error:
                if error.status == 401 or error.status >= 500:
                    raise
                say(f"error: {told(error)}")
                code = code_of(error)
                continue
            list_of_done.append(name)
            say(f"{done} {text.printable(name)}")
    finally:
        if settings.json:
            click.echo(json.dumps({done: list_of_done}))
    return code
