"""What the pages name is there: links, commands with their options, tests, source files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .pages import PAGES, ROOT, anchors, called, code, commands

_pages = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


@_pages
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        leads_to = (path.parent / name).resolve() if name else path
        assert leads_to.exists(), target
        assert not anchor or anchor in anchors(leads_to), target


@_pages
def test_every_command_exists_with_its_options(path: Path) -> None:
    known = commands()
    groups = {name.split()[0] for name in known if " " in name}
    for words in _calls(path.read_text(encoding="utf-8")):
        name = called(words)
        if name in groups:
            continue
        assert name in known, f"there is no command `assay {' '.join(words)}`"
        options = {option for parameter in known[name].params for option in parameter.opts}
        for word in words:
            if re.match(r"--?[a-z]", word):
                assert word.partition("=")[0] in options, f"{word} in `assay {' '.join(words)}`"


def _calls(text: str) -> Iterator[list[str]]:
    """Yield the words after `assay` of every command in a page's code."""
    for line in code(text).splitlines():
        beginning = r"(?:^|[$|&;(]|^\S+=\S*)\s*(?:\w+=(?:\"[^\"]*\"|\S*)\s+)*"
        for call in re.findall(rf"{beginning}assay ((?!ready\b|COMMAND\b)[a-z][^|&;#>]*)", line):
            words = call.split()
            if not re.fullmatch(r"\d+\.\d+\.\d+", words[0]):
                yield words


def test_commands_are_found_in_code() -> None:
    text = '```console\n$ FOO="a b" assay eval x -p y=1 && assay jobs list | head\nassay 0.1.0\n```\n`assay serve\n--port 1`'
    assert list(_calls(text)) == [["eval", "x", "-p", "y=1"], ["jobs", "list"], ["serve", "--port", "1"]]


@_pages
def test_every_test_that_is_named_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    for file, function in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text):
        assert (ROOT / file).is_file(), file
        assert not function or f"def {function}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{function}"
    for function in re.findall(r"`(test(?:_[a-z]+){4,})`", text):
        assert f"def {function}(" in tests, function


def test_every_page_is_linked_from_the_readme_or_from_a_page_that_is() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        targets = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
        found = [(path.parent / target).resolve() for target in targets if "://" not in target]
        waiting += [target / "README.md" if target.is_dir() else target for target in found if target.exists()]
        waiting = [target for target in waiting if target.exists()]
    docs = {path for path in PAGES if (ROOT / "docs") in path.parents}
    assert docs - reached == set()


def test_every_invariant_of_leases_says_why_and_names_its_code_and_its_tests() -> None:
    text = (ROOT / "docs" / "protocols" / "leases.md").read_text(encoding="utf-8")
    *invariants, _ = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(invariants) >= 9
    for heading, told in invariants:
        assert re.search(r"\*\*Why\.\*\*.*\*\*Code\.\*\*.*\*\*Tests\.\*\*.*`tests/[\w/]+\.py::\w+`", told, re.DOTALL), (
            heading
        )
