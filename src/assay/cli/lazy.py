"""Command groups that know their commands by name and load a module only when its command runs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
from click.shell_completion import CompletionItem

from assay.cli.exits import Exit, say, silence


@dataclass(frozen=True)
class Entry:
    """Where a command is (`module:attribute`) and what one line says of it."""

    target: str
    help: str


class LazyGroup(click.Group):
    """A group made from a table; help and completion come from the table alone.

    `default` names the command whose name may be left out: what is no command's name is its first argument.
    """

    def __init__(self, *args: Any, table: Mapping[str, Entry], default: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = dict(table)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the help page where no command is named, as what click calls a wrong argument."""
        if not args and not ctx.resilient_parsing:
            say(ctx.get_help())
            ctx.exit(Exit.USAGE)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the table's own order, which is the order of use."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; None where there is none of that name."""
        entry = self.table.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which ones come close."""
        if args and args[0] not in self.table and not args[0].startswith("-"):
            if self.default:
                return super().resolve_command(ctx, [self.default, *args])
            import difflib

            close = difflib.get_close_matches(args[0], self.table, n=2)
            hint = f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(self.table)}."
            ctx.fail(f"There is no command '{args[0]}'. {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. A reader that goes away ends it with a code of its own; click would make it 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            silence()
            ctx.exit(Exit.BROKEN_PIPE)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands of the help page."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.table.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command."""
        found = [CompletionItem(name, help=entry.help) for name, entry in self.table.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)
