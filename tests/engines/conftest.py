from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from assay.engines import environments
from assay.engines.lm_eval import EngineHost

from .engine_runs import Runner, practice_model


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def lm_eval_environment() -> environments.Environment:
    """The real environment, installed once for all sessions and workers; installs wait for each other."""
    home = Path.home() / ".local/share/assay/engines"
    folder = Path(os.environ.get("ASSAY_ENGINES_DIR") or home)
    return environments.install(folder, "lm_eval", report=print)


@pytest.fixture(scope="session")
def model_url() -> Iterator[str]:
    """A practice model without faults."""
    with practice_model() as url:
        yield url


@pytest.fixture(scope="package")
async def shared_host(
    lm_eval_environment: environments.Environment, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EngineHost]:
    """An engine host for the tests that leave it whole.

    It ends with them: for as long as it is there all tests share its event loop, and what one leaves behind on that another
    is blamed for.
    """
    host = EngineHost()
    await host.start(lm_eval_environment, tmp_path_factory.mktemp("shared"))
    yield host
    await host.close()


@pytest.fixture
async def runner(lm_eval_environment: environments.Environment, shared_host: EngineHost, tmp_path: Path) -> Runner:
    """Runs in folders of this test, with the shared engine host."""
    return Runner(lm_eval_environment, tmp_path / "runs", shared_host)


@pytest.fixture
async def own_runner(lm_eval_environment: environments.Environment, tmp_path: Path) -> AsyncIterator[Runner]:
    """Runs in folders of this test, with an engine host of its own under them."""
    host = EngineHost()
    await host.start(lm_eval_environment, tmp_path)
    yield Runner(lm_eval_environment, tmp_path / "runs", host)
    await host.close()
