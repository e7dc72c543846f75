from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from assay.cli.lazy import LazyGroup
from assay.cli.main import COMMANDS, assay

from .conftest import Cli
from .fake_server import FakeServer


def _paths(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, LazyGroup):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _paths(below, (*path, name))


@pytest.mark.parametrize("path", list(_paths(assay)), ids=" ".join)
def test_every_help_page_has_an_example(cli: Cli, path: tuple[str, ...]) -> None:
    shown = cli(*path, "--help")
    assert shown.code == 0
    assert "Example" in shown.out
    assert " ".join(("assay", *path)) in shown.out.split("Example")[1]


def test_the_help_of_the_group_lists_all_commands_and_loads_none() -> None:
    code = (
        "import sys\n"
        "from assay.cli.main import assay\n"
        "assay.main(['--help'], standalone_mode=False)\n"
        "import json; print(json.dumps([m for m in sys.modules if m.startswith('assay.')]))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    *page, modules = out.strip().splitlines()
    for name, entry in COMMANDS.items():
        assert any(line.split()[:1] == [name] for line in page), name
        assert entry.target.split(":")[0] not in json.loads(modules)


def test_listing_jobs_loads_nothing_heavy(server: FakeServer) -> None:
    server.add("j1")
    code = (
        "import sys, json\n"
        "from assay.cli.exits import run\n"
        "from assay.cli.main import assay\n"
        "sys.argv = ['assay', 'jobs', 'list']\n"
        "code = run(assay, 'assay')\n"
        "print(json.dumps([code, sorted({m.split('.')[0] for m in sys.modules})]))\n"
    )
    environment = {**os.environ, "ASSAY_SERVER": server.url}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    code_, modules = json.loads(done.stdout.strip().splitlines()[-1])
    assert code_ == 0
    heavy = {"rich", "aiohttp", "starlette", "granian", "uvicorn", "yaml", "msgspec", "asyncio", "sqlite3", "httpx"}
    heavy |= {"ssl", "email", "http"}  # what the standard library's own client loads
    assert heavy.isdisjoint(modules)


@pytest.mark.parametrize("group", [(), ("jobs",), ("backup",)], ids=" ".join)
def test_a_group_without_a_command_shows_its_help_and_ends_with_2(cli: Cli, group: tuple[str, ...]) -> None:
    shown = cli(*group)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err == cli(*group, "--help").out


def test_an_unknown_command_names_the_one_that_was_meant(cli: Cli) -> None:
    shown = cli("jbs", "list")
    assert shown.code == 2
    assert "Did you mean jobs?" in shown.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_for_assay(cli: Cli, shell: str) -> None:
    shown = cli("completion", shell)
    assert shown.code == 0
    assert "_ASSAY_COMPLETE" in shown.out


def test_completion_knows_the_commands() -> None:
    environment = {**os.environ, "_ASSAY_COMPLETE": "bash_complete", "COMP_WORDS": "assay jo", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "assay"], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["plain,jobs"]


def test_the_version_is_told_to_people_and_programs(cli: Cli) -> None:
    assert cli("version").out.startswith("assay ")
    assert set(cli("version", "--json").json) == {"assay", "python"}
    assert cli("--version").out.startswith("assay ")
