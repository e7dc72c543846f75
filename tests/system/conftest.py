"""Fixtures: the lm_eval environment, a practice model, deployments that are stopped whatever happens."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assay.config import data_dir, engines_dir
from assay.engines import environments

from .deployment import Deployment, practice_model


@pytest.fixture(scope="session", autouse=True)
def lm_eval_environment() -> environments.Environment:
    """The engine, installed once for all test processes."""
    folder = engines_dir(data_dir())
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return environments.install(folder, "lm_eval", report=lambda _: None)


@pytest.fixture(scope="session")
def model_url() -> Iterator[str]:
    """Base URL of a practice model."""
    with practice_model() as url:
        yield url


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    """Start deployments that end with the test, and check that nothing is left of them."""
    started: list[Deployment] = []

    def start(*arguments: str, **environment: str) -> Deployment:
        deployment = Deployment(tmp_path / f"data{len(started)}", *arguments, environment=environment)
        deployment.start()
        started.append(deployment)
        return deployment

    yield start
    for deployment in started:
        if deployment.process and deployment.process.poll() is None:
            deployment.stop()
