"""Live events at the client: what breaks off goes on after the last event."""

from __future__ import annotations

from typing import Any

import pytest

from assay.client import ClientError, Evaluations, Http, ServerError, Unreachable
from assay.client.events import follow, read

from .scripted import Reply, scripted

JOB = "/api/v1/evaluations/jobs/j/stream"
END = b'event: end\ndata: {"type":"end","data":{"reason":"ended","state":"completed"}}\n\n'


def event(seq: int) -> bytes:
    return b'id: %d\nevent: job.running\ndata: {"type":"job.running","seq":%d}\n\n' % (seq, seq)


def stream(*pieces: bytes) -> Reply:
    return Reply(body=b"".join(pieces), headers={"Content-Type": "text/event-stream"})


def seen_of(events: Any) -> list[Any]:
    return [one.get("seq", one["type"]) for one in events]


def test_a_stream_is_read_to_its_end() -> None:
    with scripted(stream(b"retry: 1000\nid: 0\n\n", event(1), b": keepalive\n\n", event(2), END)) as server:
        assert seen_of(Evaluations(Http(server.url)).watch("j")) == [1, 2, "end"]
        assert server.asked[0].path == JOB
        assert "last-event-id" not in {name.lower() for name in server.asked[0].headers}


def test_a_stream_that_breaks_off_goes_on_after_the_last_event() -> None:
    told: list[ClientError] = []
    cut = event(3)[:-5]
    unavailable = Reply(503, {"message_code": "store_unavailable", "message": "No."})
    with scripted(stream(event(1), event(2), cut), Reply(hang_up=True), unavailable, stream(event(3), END)) as server:
        assert seen_of(Evaluations(Http(server.url)).watch("j", away=told.append)) == [1, 2, 3, "end"]
        last = [
            {name.lower(): value for name, value in asked.headers.items()}.get("last-event-id") for asked in server.asked
        ]
    assert last == [None, "2", "2", "2"]
    assert [type(error) for error in told] == [Unreachable, Unreachable, ServerError]


def test_a_stream_of_all_jobs_that_broke_off_before_its_first_event_goes_on_where_it_began() -> None:
    with scripted(stream(b"retry: 1000\nid: 41\n\n"), stream(event(42), END)) as server:
        assert seen_of(Evaluations(Http(server.url)).watch()) == [42, "end"]
        assert server.asked[0].path == "/api/v1/evaluations/stream"
        assert {name.lower(): value for name, value in server.asked[1].headers.items()}["last-event-id"] == "41"


def test_a_refusal_is_not_tried_again() -> None:
    with scripted(Reply(404, {"message_code": "resource_not_found", "message": "There is none."})) as server:
        with pytest.raises(ServerError, match="There is none"):
            list(Evaluations(Http(server.url)).watch("j"))
        assert len(server.asked) == 1


def test_a_server_that_stays_away_is_given_up() -> None:
    with scripted(stream(event(1)), Reply(hang_up=True)) as server:
        watching = follow(Http(server.url), JOB, patience_s=0)
        assert next(watching)["seq"] == 1
        with pytest.raises(Unreachable):
            next(watching)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_stream_is_read_in_any_pieces(size: int) -> None:
    whole = b"retry: 1000\nid: 0\n\n" + event(1) + b": keepalive\n\n" + 'data: {"type":"ü"}\n\n'.encode() + END
    pieces = iter([whole[i : i + size] for i in range(0, len(whole), size)])
    told = list(read(pieces))
    assert [place for place, _ in told] == [0, 1, None, None, None]
    assert [found["type"] for _, found in told if found] == ["job.running", "ü", "end"]
