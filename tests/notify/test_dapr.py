"""Notices are published through the HTTP API of a Dapr sidecar, for the jobs of all tenants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.notify.conftest import settings
from tests.notify.receiver import Receiver
from tests.server.serving import serving

Receive = Callable[..., Receiver]
TOKEN = "dapr-canary-1d7f"


def test_changes_are_published_to_the_topic(tmp_path: Path, catalogue_folder: Path, receive: Receive) -> None:
    sidecar = receive(answer=lambda n: (500 if n == 1 else 204, {}))
    chosen = {
        **settings(tmp_path),
        "ASSAY_DAPR_URL": sidecar.url.removesuffix("/hook"),
        "ASSAY_DAPR_PUBSUB": "events",
        "ASSAY_DAPR_TOPIC": "evaluations",
        "DAPR_API_TOKEN": TOKEN,
    }
    with serving(tmp_path, "--catalog", str(catalogue_folder), worker=False, **chosen) as server:
        jobs = [server.api.as_(x_tenant=tenant).submit() for tenant in ("a", "b")]
        sidecar.wait(2, jobs[0])
        sidecar.wait(1, jobs[1])
    request = sidecar.received[0]
    assert request.path == "/v1.0/publish/events/evaluations"
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["dapr-api-token"] == TOKEN
    assert {event["data"]["tenant"] for event in sidecar.events()} == {"a", "b"}
    assert TOKEN not in server.log.read_text()
    without = {name: value for name, value in chosen.items() if "DAPR" not in name}
    count = len(sidecar.received)
    with serving(tmp_path, "--catalog", str(catalogue_folder), worker=False, **without) as server:
        server.api.submit()
    assert len(sidecar.received) == count
