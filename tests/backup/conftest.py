"""A server to back up, on each kind of database, and the `assay` command as operators run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import PASSWORD, Cluster
from tests.server import catalogue
from tests.server.acting import KEY
from tests.server.serving import Served, serving

KINDS = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


@dataclass(frozen=True)
class Place:
    """A data folder and its database, for a server or for a restore. `url` is empty for a SQLite file in the folder."""

    folder: Path
    url: str = ""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def serve(self, **environment: str) -> AbstractContextManager[Served]:
        """Run a server without a worker here."""
        self.folder.mkdir(exist_ok=True)
        written = catalogue.write(self.folder / "catalogue", catalogue.provider("manual", "true"))
        defaults = {"ASSAY_WORKER_KEY": KEY, "ASSAY_LEASE_SECONDS": "600"} | self.environment
        return serving(self.folder, "--catalog", str(written), worker=False, **(defaults | environment))

    @property
    def environment(self) -> dict[str, str]:
        return {"ASSAY_DATABASE": self.url} if self.url else {}

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "assay", *map(str, words), "--data", str(self.data)]

    def run(self, *words: object) -> Outcome:
        """Run `assay WORDS --data …` for this place; no password may show in what it says."""
        return run(*words, "--data", self.data, **self.environment)

    def backup(self, target: Path, *options: object) -> Any:
        """Make a backup and return what the command says of it."""
        return self.run("backup", "create", target, "--json", *options).json


def run(*words: object, **environment: str) -> Outcome:
    """Run `assay WORDS`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
    command = [sys.executable, "-m", "assay", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env={**inherited, **environment}, check=False)
    assert PASSWORD not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def places(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Place, Place]]:
    """Where a server is, and where it is to be restored."""
    if kind == "sqlite":
        yield Place(tmp_path / "old"), Place(tmp_path / "new")
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    with cluster.database() as old, cluster.database() as new:
        yield Place(tmp_path / "old", old), Place(tmp_path / "new", new)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where a server on SQLite is."""
    return Place(tmp_path / "server")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A folder for backups that is not there yet."""
    return tmp_path / "backups"
