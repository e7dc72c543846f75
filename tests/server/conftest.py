"""Fixtures: one server without a worker for each test process; tests keep apart by the names they use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server import catalogue
from tests.server.client import Api
from tests.server.serving import Served, serving


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server without a worker, with a provider `manual` that nobody carries out."""
    folder = tmp_path_factory.mktemp("server")
    manual = catalogue.provider("manual", "true")
    with serving(folder, "--catalog", str(catalogue.write(folder / "catalogue", manual))) as running:
        yield running


@pytest.fixture(scope="session")
def api(served: Served) -> Api:
    """A client of the server."""
    return served.api
