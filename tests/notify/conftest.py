"""Fixtures: a server whose webhooks may lead to this machine, and receivers on it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.notify.receiver import Receiver, receiver
from tests.server import catalogue
from tests.server.acting import KEY
from tests.server.client import Api
from tests.server.serving import Served, serving

SECRET = "whsec_" + base64.b64encode(b"canary-of-the-webhooks-24b").decode()
WEBHOOKS = "/api/v1/webhooks"


def settings(folder: Path) -> dict[str, str]:
    """Settings under which webhooks lead to this machine, and a secret for them."""
    secrets = folder / "secrets"
    secrets.mkdir(exist_ok=True)
    (secrets / "hook").write_text(SECRET + "\n")
    (secrets / "short").write_text("whsec_c2hvcnQ=")
    return {
        "ASSAY_WORKER_KEY": KEY,
        "ASSAY_LEASE_SECONDS": "600",
        "ASSAY_SECRETS_DIR": str(secrets),
        "ASSAY_WEBHOOK_NETWORKS": "127.0.0.0/8",
        "ASSAY_WEBHOOK_TIMEOUT_SECONDS": "3",
    }


@pytest.fixture(scope="session")
def catalogue_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return catalogue.write(tmp_path_factory.mktemp("catalogue"), catalogue.provider("manual", "true"))


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, catalogue_folder: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("notify")
    with serving(folder, "--catalog", str(catalogue_folder), worker=False, **settings(folder)) as running:
        yield running


@pytest.fixture
def api(served: Served, request: pytest.FixtureRequest) -> Api:
    """A client that is a tenant of its own in every test, so that nobody hears of another test's jobs."""
    return served.api.as_(x_tenant=request.node.name[:200])


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    """Start receivers that run until the end of the test."""
    with ExitStack() as stack:
        yield lambda **behaviour: stack.enter_context(receiver(**behaviour))


def subscribe(api: Api, url: str, **members: Any) -> str:
    """Make a webhook; return its id."""
    reply = api.post(WEBHOOKS, {"url": url} | members)
    assert reply.status == 201, reply.text
    return str(reply.json["resource"]["id"])


def deliveries(api: Api, webhook: str) -> list[dict[str, Any]]:
    """What became of what a webhook was sent, newest first."""
    return list(api.get(f"{WEBHOOKS}/{webhook}/deliveries").json["items"])
