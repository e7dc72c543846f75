from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from assay.client import Evaluations, Http, ServerError
from assay.client.evaluations import ended, identity

from .scripted import Reply, scripted


def job(job_id: str, state: str = "pending") -> dict[str, Any]:
    return {"resource": {"id": job_id}, "status": {"state": state}, "results": {}}


def test_submitting_sends_an_idempotency_key_that_is_new_each_time() -> None:
    with scripted(Reply(202, job("a")), Reply(202, job("b"))) as server:
        evaluations = Evaluations(Http(server.url))
        assert [identity(evaluations.submit({"name": "x"})) for _ in range(2)] == ["a", "b"]
        keys = {asked.headers["idempotency-key"] for asked in server.asked}
        assert len(keys) == 2


def test_waiting_asks_for_a_version_other_than_the_one_seen() -> None:
    with scripted(Reply(200, job("a"), {"ETag": '"1"'}), Reply(304), Reply(200, job("a"), {"ETag": '"2"'})) as server:
        evaluations = Evaluations(Http(server.url))
        seen = evaluations.look("a")
        assert evaluations.wait_for_change("a", seen.etag, 3) is None
        changed = evaluations.wait_for_change("a", seen.etag, 3)
        assert changed is not None
        assert changed.etag == '"2"'
        assert server.asked[1].headers["if-none-match"] == '"1"'
        assert server.asked[1].headers["prefer"] == "wait=3"


def test_iterating_goes_through_all_pages_and_tells_no_job_twice() -> None:
    def page(*ids: str) -> Reply:
        return Reply(200, {"items": [job(i) for i in ids], "total_count": 4, "limit": 200})

    with scripted(page("d", "c"), page("c", "b"), page("a")) as server:
        found = [identity(item) for item in Evaluations(Http(server.url)).iterate(status="failed")]
        assert found == ["d", "c", "b"]
        assert "offset=2" in server.asked[1].path
        assert all("status=failed" in asked.path for asked in server.asked)


def test_an_id_is_encoded_in_the_path() -> None:
    with scripted(Reply(204)) as server:
        Evaluations(Http(server.url)).delete("../x?y")
        assert server.asked[0].path == "/api/v1/evaluations/jobs/..%2Fx%3Fy?hard_delete=true"


def test_following_a_log_asks_for_it_by_benchmark() -> None:
    with scripted(Reply(body=b"a\nb\n")) as server:
        text = b"".join(Evaluations(Http(server.url)).logs("j", 1, tail=-1, timestamps=True, follow=True))
        assert text == b"a\nb\n"
        assert server.asked[0].path == (
            "/api/v1/evaluations/jobs/j/benchmarks/1/logs?tail_lines=-1&timestamps=true&follow=true"
        )


def test_a_download_is_written_whole(tmp_path: Path) -> None:
    artifact = {"name": "samples.jsonl", "digest": f"sha256:{hashlib.sha256(b'data').hexdigest()}"}
    with scripted(Reply(body=b"data")) as server:
        Evaluations(Http(server.url)).download("j", 0, artifact, tmp_path / "samples.jsonl")
    assert (tmp_path / "samples.jsonl").read_bytes() == b"data"


def test_a_damaged_download_leaves_nothing_behind(tmp_path: Path) -> None:
    artifact = {"name": "samples.jsonl", "digest": f"sha256:{hashlib.sha256(b'data').hexdigest()}"}
    with scripted(Reply(body=b"dama")) as server, pytest.raises(ServerError, match="damaged"):
        Evaluations(Http(server.url)).download("j", 0, artifact, tmp_path / "samples.jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("body", [b"hello", b"[1]", b"{}"])
def test_an_answer_that_is_no_page_is_an_error(body: bytes) -> None:
    with scripted(Reply(body=body)) as server, pytest.raises(ServerError, match="not an Assay server"):
        Evaluations(Http(server.url)).list()


@pytest.mark.parametrize(
    ("state", "over"),
    [("pending", False), ("running", False), ("completed", True), ("partially_failed", True)],
)
def test_only_terminal_states_have_ended(state: str, over: bool) -> None:
    assert ended(job("a", state)) is over
