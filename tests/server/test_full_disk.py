"""A full disk refuses what a worker brings, in words, and takes it when there is room again."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator

from tests.server.acting import Worker, framed
from tests.server.client import Api, Reply
from tests.server.serving import Served


@contextlib.contextmanager
def _full(served: Served) -> Iterator[None]:
    """No file of the server grows: as a full disk, for this process alone."""
    pid = served.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def _refused(reply: Reply) -> bool:
    assert (reply.status, reply.json["message_code"]) == (503, "folder_unavailable")
    assert "free space on the disk that holds" in reply.json["message"]
    assert "retry-after" in reply.headers
    return True


def test_the_log_of_a_run_is_refused_and_then_taken_without_a_gap(served: Served, api: Api) -> None:
    held = Worker(api).take(api)
    text = framed(*(f"line {number} {'x' * 100}" for number in range(100)))
    with _full(served):
        assert _refused(held.append(0, text))
    assert held.append(0, text).json == {"size": len(text)}
    log = api.get(f"/api/v1/evaluations/jobs/{held.job_id}/benchmarks/0/logs").text
    assert [line.split()[1] for line in log.splitlines()] == [str(number) for number in range(100)]


def test_an_artifact_is_refused_and_then_taken(served: Served, api: Api) -> None:
    held, data = Worker(api).take(api), bytes(1 << 20)
    with _full(served):
        assert _refused(held.put("a", data))
    stored = held.put("a", data)
    assert stored.status == 201
    assert list((served.data / "blobs").glob("incoming-*")) == []
