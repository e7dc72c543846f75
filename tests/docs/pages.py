"""The pages of the documentation, and how to look into them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from assay.cli.lazy import LazyGroup
from assay.cli.main import assay

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


def page(name: str) -> str:
    """Return a page of `docs/`."""
    return (DOCS / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """Return what stands under a heading of the second level, empty if there is none."""
    match = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return match[1] if match else ""


def code(text: str) -> str:
    """Return what a page marks as code, blocks and spans; continued lines are joined."""
    blocks = re.findall(r"^ *```[a-z]*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    joined = "\n".join([*blocks, *(span.replace("\n", " ") for span in spans)])
    return joined.replace("\\\n", " ")


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as repository hosts make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands() -> dict[str, click.Command]:
    """Return every command that does something, by its words after `assay`."""
    return dict(_below(assay, ()))


def called(words: list[str]) -> str:
    """Return the name of the command that these words after `assay` call; of some groups one command's may be left out."""
    known = commands()
    if words[0] in known:
        return words[0]
    group = assay.get_command(click.Context(assay), words[0])
    if isinstance(group, LazyGroup) and group.default and words[1:] and words[1] not in group.table:
        return f"{words[0]} {group.default}"
    return " ".join(words[:2])


def _below(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from _below(found, (*path, name))
