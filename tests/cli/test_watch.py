from __future__ import annotations

import json

from .conftest import Cli
from .fake_server import FakeServer

CREATED = {"type": "job.created", "seq": 1, "at": "2026-01-01T10:00:00.5Z", "data": {"runs": 1}, "job_id": "j1"}
FAILED = {
    "type": "run.failed",
    "seq": 2,
    "at": "2026-01-01T10:00:01Z",
    "data": {"cause": "finish", "benchmark_index": 0, "attempt": 2, "code": "c", "message": "It\x1b[31m rained."},
    "job_id": "j1",
}
PROGRESS = {"type": "run.progress", "data": {"benchmark_index": 0, "done": 3, "total": 9, "phase": "p"}, "job_id": "j1"}


def end(state: str) -> dict[str, object]:
    return {"type": "end", "data": {"reason": "ended", "state": state}, "job_id": "j1"}


def test_what_happens_to_a_job_is_printed_as_lines(cli: Cli, server: FakeServer) -> None:
    server.add("j1")
    server.events = [CREATED, PROGRESS, FAILED, end("failed")]
    shown = cli("jobs", "watch", "last")
    assert shown.code == 1
    assert shown.out.splitlines() == [
        "10:00:00 job.created",
        "         run.progress     [0] 3/9 p",
        "10:00:01 run.failed       [0] attempt 2 cause=finish code=c message=It [31m rained.",
        "         end              reason=ended state=failed",
    ]


def test_json_is_an_object_a_line(cli: Cli, server: FakeServer) -> None:
    server.add("j1")
    server.events = [CREATED, end("completed")]
    shown = cli("jobs", "watch", "j1", "--json")
    assert shown.code == 0
    assert [json.loads(line) for line in shown.out.splitlines()] == server.events


def test_all_jobs_are_told_with_their_ids_from_an_event_on(cli: Cli, server: FakeServer) -> None:
    server.events = [CREATED, end("completed")]
    shown = cli("jobs", "watch", "--after", "7")
    assert shown.out.splitlines()[0] == "10:00:00 j1 job.created"
    assert server.headers[-1]["last-event-id"] == "7"


def test_a_job_that_there_is_not_is_an_error(cli: Cli) -> None:
    shown = cli("jobs", "watch", "nope")
    assert shown.code == 2
    assert "'nope' was not found" in shown.err
