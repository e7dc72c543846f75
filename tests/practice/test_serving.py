"""Starting and stopping: keys, ports, signals, and errors of one line."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from assay.practice.command import practice_model

from .endpoint import Endpoint, running

KEY = "canary-4711"


def check_key(endpoint: Endpoint) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    for wrong in (None, "other"):
        reply = endpoint.post("/v1/chat/completions", body, key=wrong)
        assert reply.status == 401
        assert reply.json["error"]["code"] == "invalid_api_key"
        assert KEY not in reply.body.decode()
        assert endpoint.get("/v1/models", key=wrong).status == 401
    assert endpoint.post("/v1/chat/completions", body, key=KEY).status == 200
    assert endpoint.get("/v1/models", key=KEY).status == 200
    assert endpoint.post("/tokenize", {"prompt": "a"}).status == 200  # as vLLM: the key guards /v1
    argv = Path(f"/proc/{endpoint.process.pid}/cmdline")
    assert not argv.exists() or KEY not in argv.read_text()


def test_a_key_from_the_environment_is_demanded() -> None:
    with running(key=KEY) as endpoint:
        check_key(endpoint)


def test_a_key_from_a_file_is_demanded(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    with running("--api-key-file", str(file)) as endpoint:
        check_key(endpoint)


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(practice_model, ["--port", str(port)])
    assert result.exit_code == 2
    assert "--port" in result.stderr
    assert str(port) in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_second_endpoint_does_not_share_the_port_of_the_first(endpoint: Endpoint) -> None:
    command = [sys.executable, "-m", "assay.practice", "--port", str(endpoint.port)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 2
    assert "in use" in second.stderr
    assert second.stdout == ""


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--host", "192.0.2.1"], "--host"),
        (["--refuse", "200"], "refuse"),
        (["--fail-rate", "2"], "--fail-rate"),
        (["--api-key-file", "/nowhere/key"], "--api-key-file"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(flags: list[str], named: str) -> None:
    result = CliRunner().invoke(practice_model, ["--port", "0", *flags])
    assert result.exit_code == 2
    assert named in result.stderr
    assert "Traceback" not in result.stderr


def test_an_empty_key_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("\n")
    result = CliRunner().invoke(practice_model, ["--port", "0", "--api-key-file", str(file)])
    assert result.exit_code == 2
    assert "empty" in result.stderr


def test_the_help_teaches_without_importing_the_server() -> None:
    code = (
        "import sys; from assay.practice.command import practice_model\n"
        "practice_model(['--help'], standalone_mode=False)\n"
        "assert not {'granian', 'starlette', 'msgspec', 'asyncio'} & set(sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert "curl" in shown.stdout
    assert "--fail-on" in shown.stdout
