"""What docs/evalhub-compatibility.md tells users of EvalHub's own clients to type is run as it stands, on other ports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.pages import page, section
from tests.evalhub.official_programs import mcp_over_stdio, surroundings
from tests.system.deployment import Deployment

_CONSOLE = re.compile(r"^\$ (.*)$", re.MULTILINE)


@pytest.fixture
def on_the_page(deploy: Callable[..., Deployment], model_url: str) -> Callable[[str], str]:
    """A function that returns a code block of the page, with the addresses of a server and a model that are there."""
    written, url = section(page("evalhub-compatibility.md"), "Official clients"), deploy().url

    def block(language: str) -> str:
        found = re.search(rf"^```{language}\n(.*?)^```$", written, re.MULTILINE | re.DOTALL)
        assert found, f"there is no {language} among the official clients"
        return found[1].replace("http://127.0.0.1:8080", url).replace("http://127.0.0.1:8400/v1", model_url)

    return block


def run(home: Path, *command: str) -> str:
    done = subprocess.run(command, env=surroundings(home), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_lines_for_the_command_line(on_the_page: Callable[[str], str], tmp_path: Path) -> None:
    lines = _CONSOLE.findall(on_the_page("console").replace("\\\n", " "))
    assert "eval-hub-sdk[cli]==1.0.6" in lines[0]
    said = [run(tmp_path, "bash", "-c", line) for line in lines[1:]]
    assert said[-1].rstrip().endswith("finished with state: completed")


def test_the_lines_for_python(on_the_page: Callable[[str], str], tmp_path: Path) -> None:
    assert run(tmp_path, sys.executable, "-c", on_the_page("python")).startswith("completed {'exact_match': ")


def test_the_settings_for_an_assistant(on_the_page: Callable[[str], str], tmp_path: Path) -> None:
    (server,) = json.loads(on_the_page("json"))["mcpServers"].values()
    assert server["command"] == "evalhub-mcp"
    with mcp_over_stdio(tmp_path, **server["env"]) as session:
        assert "practice" in [provider["id"] for provider in session.tool("discover_providers")["providers"]]
        assert session.read("evalhub://jobs") == []
