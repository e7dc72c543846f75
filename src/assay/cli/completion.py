"""`assay completion`."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes `assay` commands and options in your shell.

    \b
    Examples:
      assay completion bash >> ~/.bashrc
      assay completion zsh >> ~/.zshrc
      assay completion fish > ~/.config/fish/completions/assay.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    # The templates alone: `source()` would start the shell to look at its version.
    script = kind(ctx.find_root().command, {}, "assay", "_ASSAY_COMPLETE")
    click.echo(script.source_template % script.source_vars())
