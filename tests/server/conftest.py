"""Fixtures: one server without a worker for each test process; tests keep apart by the names they use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server import catalogue
from tests.server.access.keyed import Keyed, keyed_server
from tests.server.acting import KEY, Worker
from tests.server.client import Api
from tests.server.serving import Served, serving


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server without a worker, with a provider `manual` that nobody carries out."""
    folder = tmp_path_factory.mktemp("server")
    manual = catalogue.provider("manual", "true")
    written = catalogue.write(folder / "catalogue", manual)
    with serving(
        folder, "--catalog", str(written), ASSAY_MAX_WEBHOOKS="-1", ASSAY_WORKER_KEY=KEY, ASSAY_LEASE_SECONDS="600"
    ) as running:
        yield running


@pytest.fixture(scope="session")
def api(served: Served) -> Api:
    """A client of the server."""
    return served.api


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """A server that asks for keys."""
    with keyed_server(tmp_path_factory.mktemp("keyed")) as running:
        yield running


@pytest.fixture
def worker(api: Api) -> Worker:
    """A worker that the test plays."""
    return Worker(api)
