"""eval-hub-sdk at a server that asks for keys: its token is the key."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from evalhub.models import JobSubmissionRequest

from tests.evalhub.sdk_clients import KINDS, connecting
from tests.server.access.keyed import Keyed, keyed_server
from tests.server.client import job_body


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with keyed_server(tmp_path_factory.mktemp("sdk")) as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_the_sdk_works_with_a_key_in_its_tenant_and_no_other(keyed: Keyed, kind: str) -> None:
    key = keyed.make("user", tenant="team-a", user="ann")["key"]
    with connecting(kind, keyed.api.url) as connect:
        client = connect(auth_token=key, tenant="team-a")
        assert client.health()
        job = client.jobs.submit(JobSubmissionRequest(**job_body()))
        assert client.jobs.get(job.id).resource.tenant == "team-a"
        assert job.id in [one.id for one in client.jobs.list()]
        assert client.providers.list()
        client.jobs.cancel(job.id)
        for options, status in (({"tenant": "team-a"}, 401), ({"auth_token": key, "tenant": "team-b"}, 403)):
            with pytest.raises(httpx.HTTPStatusError) as caught:
                connect(**options).jobs.list()
            assert caught.value.response.status_code == status
