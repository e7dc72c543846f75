"""`assay-evalhub-server`: started as the CLI of EvalHub starts its own programs, with the files that it writes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

from tests.evalhub.live import until
from tests.server.catalogue import provider, write
from tests.server.client import JOBS, PATIENCE_S, Api

PROGRAM = [sys.executable, "-c", "from assay.cli.evalhub_server import main; main()"]


def free_port() -> int:
    """Return a port that nobody listens on; the CLI looks for one in the same way."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextlib.contextmanager
def started(folder: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program until the end of the block, where SIGTERM must end it with code 0."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=(folder / "program.log").open("a"),
        text=True,
        cwd=folder,
        env={**inherited, "HOME": str(folder), **environment},
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0, (folder / "program.log").read_text()
    finally:
        process.kill()
        process.wait()


def ready(process: subprocess.Popen[str]) -> Api:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("assay ready on "), line
    return Api(line.removeprefix("assay ready on ").strip())


def configured(folder: Path, **service: object) -> Path:
    """Write what the CLI writes before it starts the server, with a provider beside it."""
    write(folder, provider("shell", "exit 7"))
    document = {
        "service": {"port": free_port(), **service},
        "database": {"driver": "sqlite", "url": "file::eval_hub:?mode=memory&cache=shared"},
        "sidecar": {"base_url": "http://localhost:8082", "local_mode": True},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(document))
    return folder


def test_it_is_installed_as_a_program() -> None:
    (point,) = entry_points(group="console_scripts", name="assay-evalhub-server")
    assert point.value == "assay.cli.evalhub_server:main"


@pytest.mark.parametrize("arguments", ["-local -configdir {}", "--local=true --configdir={}"])
def test_the_server_starts_from_a_configuration_directory_and_runs_jobs(tmp_path: Path, arguments: str) -> None:
    folder = configured(tmp_path / "etc")
    with started(tmp_path, *arguments.format(folder).split(), ASSAY_GRACE_SECONDS="0") as process:
        api = ready(process)
        assert api.get("/api/v1/health").json["status"] == "healthy"
        job = api.submit("b0", provider="shell")
        until(lambda: api.get(f"{JOBS}/{job}").json["status"]["state"] == "failed", "the end of the job")


def test_the_configuration_is_found_where_evalhub_looks_for_it(tmp_path: Path) -> None:
    folder = configured(tmp_path / "config")
    with started(tmp_path, "-local") as process:
        assert ready(process).get("/api/v1/health").status == 200
    elsewhere = folder.rename(tmp_path / "elsewhere")
    with started(tmp_path, "-local", EVAL_HUB_CONFIG_DIR=str(elsewhere)) as process:
        assert ready(process).get("/api/v1/health").status == 200


def test_without_a_configuration_it_says_how_to_name_one(tmp_path: Path) -> None:
    ended = subprocess.run([*PROGRAM, "-local"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "error: There is no config.yaml here: name its folder with -configdir or EVAL_HUB_CONFIG_DIR.\n"


def test_as_a_sidecar_it_answers_for_its_health_and_nothing_else(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "sidecar-server-config.json"
    config = {"base_url": f"http://localhost:{port}", "local_mode": True, "eval_hub": {"base_url": "http://localhost:1"}}
    file.write_text(json.dumps(config))
    with started(tmp_path, "-sidecarconfig", str(file)):
        api = Api(f"http://127.0.0.1:{port}")

        def answers() -> bool:
            with contextlib.suppress(ConnectionError):
                return api.get("/health").status == 200
            return False

        until(answers, "the sidecar")
        assert api.get("/model/x").status == 404


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"base_url": 5}', '{"base_url": "http://localhost"}'])
def test_a_sidecar_file_that_makes_no_sense_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "sidecar.json"
    file.write_text(text)
    ended = subprocess.run([*PROGRAM, "-sidecarconfig", str(file)], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "base_url" in line
