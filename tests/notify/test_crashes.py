"""What was recorded is delivered, whatever happens to the servers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.evalhub.live import until
from tests.notify.conftest import deliveries, settings, subscribe
from tests.notify.receiver import Receiver
from tests.postgres import Cluster
from tests.server.client import Api
from tests.server.serving import Served, serving
from tests.system.deployment import Deployment

pytestmark = pytest.mark.slow
Receive = Callable[..., Receiver]


def test_a_killed_server_delivers_after_its_start(tmp_path: Path, catalogue_folder: Path, receive: Receive) -> None:
    environment = settings(tmp_path)
    server = Deployment(tmp_path / "data", "--no-worker", "--catalog", str(catalogue_folder), environment=environment)
    hook = receive()
    hook.answer = hook.hang
    try:
        server.start()
        api = Api(server.url)
        webhook = subscribe(api, hook.url)
        job_id = api.submit()
        hook.wait(1)  # it has come, but the server does not hear so
        assert api.report(job_id, "completed").status == 204
        server.kill()
        hook.answer = lambda n: (204, {})
        server.start()
        hook.wait(4, job_id)
        api = Api(server.url)
        until(lambda: {one["state"] for one in deliveries(api, webhook)} == {"delivered"}, "all deliveries")
        assert hook.types(job_id) == ["assay.job.created"] * 2 + ["assay.run.completed", "assay.job.completed"]
        assert len({event["id"] for event in hook.events(job_id)}) == 3
    finally:
        server.stop()


@pytest.fixture
def pair(
    postgres: Cluster, tmp_path: Path, catalogue_folder: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[Served, Served]]:
    with postgres.database() as url, ExitStack() as stack:
        servers = []
        for name in "ab":
            folder = tmp_path / name
            folder.mkdir()
            chosen = {**settings(folder), "ASSAY_DATABASE": url}
            servers.append(stack.enter_context(serving(folder, "--catalog", str(catalogue_folder), worker=False, **chosen)))
        yield servers[0], servers[1]


def test_two_servers_on_one_database_deliver_each_notice_once(pair: tuple[Served, Served], receive: Receive) -> None:
    a, b = pair[0].api, pair[1].api
    hook = receive()
    webhook = subscribe(a, hook.url)
    jobs = [server.submit() for _ in range(20) for server in (a, b)]
    for i, job_id in enumerate(jobs):
        assert (a if i % 2 else b).report(job_id, "completed").status == 204
    hook.wait(3 * len(jobs))
    until(lambda: {one["state"] for one in deliveries(b, webhook)} == {"delivered"}, "all deliveries")
    assert Counter(event["id"] for event in hook.events()).most_common(1)[0][1] == 1
    for job_id in jobs:
        assert hook.types(job_id) == ["assay.job.created", "assay.run.completed", "assay.job.completed"]
