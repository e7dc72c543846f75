"""Fixtures: a server without a worker for what the API alone decides, and one with a worker for what happens in life."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.evalhub.live import Live
from tests.evalhub.sdk_clients import KINDS, Connect, connecting
from tests.server import catalogue
from tests.server.acting import KEY, Worker
from tests.server.catalogue import benchmark, provider
from tests.server.client import Api, unique
from tests.server.serving import serving

_SCORED = benchmark("judged", primary_score={"metric": "acc"}, pass_criteria={"threshold": 0.5})
_LATENCY = benchmark("latency", primary_score={"metric": "ms", "lower_is_better": True}, pass_criteria={"threshold": 100})


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A client of a server without a worker: what is submitted waits, and reports are posted by hand."""
    folder = tmp_path_factory.mktemp("evalhub")
    written = catalogue.write(
        folder / "catalogue",
        provider("manual", "true"),
        provider(
            "scored", "true", _SCORED, _LATENCY, benchmark("loss", primary_score={"metric": "l", "lower_is_better": True})
        ),
        provider("tagged", "true", tags=["red", "blue"], title="Tagged", description="For the filters."),
        provider("tagged-too", "true", tags=["red"]),
    )
    with serving(folder, "--catalog", str(written), ASSAY_WORKER_KEY=KEY, ASSAY_LEASE_SECONDS="600") as running:
        yield running.api


@pytest.fixture
def worker(api: Api) -> Worker:
    """A worker that the test plays."""
    return Worker(api)


GRACE_S = 0.5
SERVER_SECRETS = {
    "ASSAY_SECRET_TEAM_KEY": "sk-canary-of-the-environment",
    "DATABASE_URL": "postgresql://user:sk-canary-of-the-database@db",
    "AWS_SECRET_ACCESS_KEY": "sk-canary-of-the-cloud",
    "OPENAI_API_KEY": "sk-canary-of-a-vendor",
}
_PROGRAMS = Path(__file__).parent


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server with a worker of many slots; a run that ends without a word fails after half a second."""
    folder = tmp_path_factory.mktemp("live")
    python = shlex.quote(sys.executable)
    written = catalogue.write(
        folder / "catalogue",
        provider("manual", "true"),
        provider("silent", ""),
        provider("missing", "exec /no/such/program --flag"),
        provider("by-hand", f"exec {python} {shlex.quote(str(_PROGRAMS / 'by_hand.py'))}"),
        provider("sdk", f"exec {python} {shlex.quote(str(_PROGRAMS / 'adapter_program.py'))}"),
        provider("shell", 'echo "in $(pwd)"; echo to stderr >&2; exit 7'),
        provider("killed", "kill -9 $$"),
    )
    settings = {
        "ASSAY_GRACE_SECONDS": str(GRACE_S),
        "ASSAY_SLOTS": "24",
        "ASSAY_MAX_LOG_BYTES": "100000",
        "ASSAY_WORKER_KEY": "sk-canary-of-the-worker",
    }
    with serving(folder, "--catalog", str(written), worker=True, **settings, **SERVER_SECRETS) as running:
        yield Live(running, GRACE_S)


@pytest.fixture(params=KINDS)
def connect(request: pytest.FixtureRequest, live: Live) -> Iterator[Connect]:
    """A function that opens a client of eval-hub-sdk, of either kind."""
    with connecting(request.param, live.api.url) as opening:
        yield opening


@pytest.fixture
def tenant_name() -> str:
    """A tenant of its own, so that a test finds only what it made itself."""
    return unique("t")


@pytest.fixture
def client(connect: Connect, tenant_name: str) -> Any:
    """A client of eval-hub-sdk, of either kind, in that tenant."""
    return connect(tenant=tenant_name)
