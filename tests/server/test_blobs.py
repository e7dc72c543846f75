"""The files of runs, as workers fetch them."""

from __future__ import annotations

import pytest

from tests.server.acting import Worker
from tests.server.client import Api

DATA = bytes(range(256)) * 300


@pytest.fixture
def path(api: Api, worker: Worker) -> str:
    return f"/api/v1/blobs/{worker.take(api).put('a.bin', DATA).json['digest']}"


def test_a_blob_comes_whole(worker: Worker, path: str) -> None:
    reply = worker.api.get(path)
    assert (reply.status, reply.body) == (200, DATA)
    assert reply.headers["etag"] == f'"{path.rpartition("/")[2]}"'


@pytest.mark.parametrize("start", [0, 1, 70_000, len(DATA) - 1])
def test_a_transfer_can_go_on_from_any_byte(worker: Worker, path: str, start: int) -> None:
    reply = worker.api.call("GET", path, None, {"Range": f"bytes={start}-"})
    assert (reply.status, reply.body) == (206, DATA[start:])


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", "bytes=9-1", "bytes=-5", "bytes=0-1,4-5", "lines=1-", "x", ""])
def test_any_other_range_is_passed_over(worker: Worker, path: str, asked: str) -> None:
    reply = worker.api.call("GET", path, None, {"Range": asked})
    assert (reply.status, reply.body) == (200, DATA)


@pytest.mark.parametrize("digest", ["x", "sha256:" + "0" * 64, "sha256:..%2f..%2fassay.db", "sha256:" + "A" * 64])
def test_what_is_no_digest_of_a_blob_is_not_found(worker: Worker, digest: str) -> None:
    reply = worker.api.get(f"/api/v1/blobs/{digest}")
    assert (reply.status, reply.code) in ((404, "resource_not_found"), (307, ""))
