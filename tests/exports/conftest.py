"""Fixtures: real MLflow servers behind doors that want a token, and servers of Assay that know them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.evalhub.live import Live
from tests.exports.front_door import FrontDoor, front_door
from tests.exports.mlflow_server import MlflowUnderTest, installed, mlflow_server
from tests.server import catalogue
from tests.server.acting import KEY
from tests.server.catalogue import benchmark, provider
from tests.server.client import Api
from tests.server.serving import Served, serving

TOKEN = "mlflow-canary-4d1e6a0b9c"
_PROGRAMS = Path(__file__).parent
_SCORED = benchmark("judged", primary_score={"metric": "acc"}, pass_criteria={"threshold": 0.5})


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowUnderTest]:
    """A real MLflow server without workspaces."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as running:
        yield running


@pytest.fixture(scope="session")
def door(mlflow: MlflowUnderTest) -> Iterator[FrontDoor]:
    """The MLflow server, for those who have the token."""
    with front_door(mlflow.url, TOKEN) as opened:
        yield opened


@pytest.fixture(scope="session")
def catalogue_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Providers for reports by hand, and some whose adapters write to MLflow themselves."""

    def python(script: str, executable: str = sys.executable) -> str:
        return f"exec {shlex.quote(executable)} {shlex.quote(str(_PROGRAMS / script))}"

    with_library = str(installed().with_name("python"))
    return catalogue.write(
        tmp_path_factory.mktemp("catalogue"),
        provider("manual", "true"),
        provider("scored", "true", _SCORED),
        provider("tracking", python("tracking_adapter.py")),
        provider("library", python("library_adapter.py", with_library)),
    )


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory, door: FrontDoor, catalogue_folder: Path) -> Iterator[Api]:
    """A server of Assay without a worker, which knows the MLflow server."""
    folder = tmp_path_factory.mktemp("assay")
    settings = {"ASSAY_WORKER_KEY": KEY, "MLFLOW_TRACKING_URI": door.url + "/", "ASSAY_MLFLOW_TOKEN": TOKEN}
    settings["ASSAY_LEASE_SECONDS"] = "600"
    with serving(folder, "--catalog", str(catalogue_folder), worker=False, **settings) as running:
        yield running.api


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory, door: FrontDoor, catalogue_folder: Path) -> Iterator[Live]:
    """A server of Assay with a worker, which both know the MLflow server."""
    folder = tmp_path_factory.mktemp("live")
    settings = {"ASSAY_MLFLOW_TRACKING_URI": door.url, "ASSAY_MLFLOW_TOKEN": TOKEN, "ASSAY_SLOTS": "4"}
    with serving(folder, "--catalog", str(catalogue_folder), worker=True, **settings) as running:
        yield Live(running, 0.5)


@pytest.fixture
def serve(tmp_path: Path, catalogue_folder: Path) -> Iterator[Callable[..., Served]]:
    """Start servers of Assay without a worker, all on one data folder one after the other, with settings of the test."""
    with ExitStack() as stack:

        def start(**settings: str) -> Served:
            environment = {"ASSAY_WORKER_KEY": KEY, "ASSAY_LEASE_SECONDS": "600"} | settings
            return stack.enter_context(serving(tmp_path, "--catalog", str(catalogue_folder), worker=False, **environment))

        yield start
