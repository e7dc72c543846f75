"""Logs: whole jobs and single benchmarks, the last lines, since a moment, with times, followed live."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from tests.server.acting import Held, Worker, framed
from tests.server.client import JOBS, Api


@pytest.fixture
def held(api: Api, worker: Worker) -> Held:
    """A run whose log the test writes."""
    return worker.take(api)


def log(api: Api, held: Held, query: str = "") -> str:
    reply = api.get(f"{JOBS}/{held.job_id}/benchmarks/0/logs{query}")
    assert reply.status == 200, reply.text
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    return reply.text


def test_a_benchmark_without_a_log_yet_has_an_empty_one(api: Api) -> None:
    reply = api.get(f"{JOBS}/{api.submit()}/benchmarks/0/logs")
    assert (reply.status, reply.body) == (200, b"")


def test_the_log_of_a_job_has_a_line_before_each_benchmark(api: Api) -> None:
    job_id = api.submit("b0", "b1")
    assert api.get(f"{JOBS}/{job_id}/logs").text == (
        f"=== pod={job_id}-0 container=local benchmark_id=b0 ===\n\n=== pod={job_id}-1 container=local benchmark_id=b1 ===\n"
    )


def test_lines_are_shown_bare(api: Api, held: Held) -> None:
    held.append(0, framed("one", "", "1700000000000 looks like a frame", "ü"))
    assert log(api, held) == "one\n\n1700000000000 looks like a frame\nü"
    assert api.get(f"{JOBS}/{held.job_id}/logs").text.split("\n", 1)[1] == log(api, held)


def test_a_tail_ends_without_a_newline_and_a_whole_log_as_it_was_written(api: Api, held: Held) -> None:
    held.append(0, framed("one", "two"))
    assert log(api, held, "?tail_lines=1") == "two"
    assert log(api, held, "?tail_lines=-1") == "one\ntwo\n"


def test_the_logs_of_two_benchmarks_are_parted_by_one_newline(api: Api, worker: Worker) -> None:
    held = worker.take(api, benchmarks=[{"id": "b0", "provider_id": "manual"}, {"id": "b1", "provider_id": "manual"}])
    held.append(0, framed("last words"))
    _, words, header, *_ = api.get(f"{JOBS}/{held.job_id}/logs").text.split("\n")
    assert words == "last words"
    assert header == f"=== pod={held.job_id}-1 container=local benchmark_id=b1 ==="


def test_a_refused_cancel_takes_no_log_away(api: Api, held: Held) -> None:
    held.append(0, framed("kept"))
    assert held.end("completed").status == 204
    assert api.delete(f"{JOBS}/{held.job_id}").status == 409
    assert log(api, held) == "kept"


def test_bytes_that_are_no_text_do_not_matter(api: Api, held: Held) -> None:
    held.append(0, framed("x").replace(b"x", b"\xff\x00\xfe"))
    assert api.get(f"{JOBS}/{held.job_id}/benchmarks/0/logs").body == b"\xff\x00\xfe"


@pytest.mark.parametrize(
    ("tail", "shown"), [(1, ["2999"]), (3, ["2997", "2998", "2999"]), (3000, None), (9999, None), (-1, None)]
)
def test_the_last_lines_can_be_asked_for(api: Api, held: Held, tail: int, shown: list[str] | None) -> None:
    held.append(0, framed(*map(str, range(3000))))
    assert log(api, held, f"?tail_lines={tail}").split() == (shown or list(map(str, range(3000))))


def test_a_thousand_lines_are_the_default(api: Api, held: Held) -> None:
    held.append(0, framed(*map(str, range(3000))))
    assert log(api, held).split() == list(map(str, range(2000, 3000)))


def test_long_lines_do_not_confuse_the_tail(api: Api, held: Held) -> None:
    lines = ["a" * 100_000, "b", "c" * 70_000, "d"]
    held.append(0, framed(*lines))
    for tail in range(1, 5):
        assert log(api, held, f"?tail_lines={tail}").splitlines() == lines[-tail:]


@pytest.mark.parametrize("flag", ["true", "1", "T"])
def test_each_line_can_be_shown_with_its_time(api: Api, held: Held, flag: str) -> None:
    held.append(0, framed("one", "two"))
    lines = log(api, held, f"?timestamps={flag}").splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", "", line) for line in lines] == ["one", "two"]
    assert all(line[0] == "2" for line in lines)


@pytest.mark.parametrize("number", ["9" * 15, "9" * 20, "9" * 5000])
def test_a_number_that_is_no_time_is_part_of_its_line(api: Api, held: Held, number: str) -> None:
    held.append(0, f"{number} no time\n".encode() + framed("two"))
    lines = log(api, held, "?timestamps=true&since_seconds=60").splitlines()
    assert lines[0] == f"{number} no time"
    assert lines[1].endswith("Z two")


def test_only_recent_lines_can_be_asked_for(api: Api, held: Held) -> None:
    held.append(0, framed("old", ago_s=7200) + framed("middle", ago_s=600) + framed("new"))
    assert log(api, held, "?since_seconds=3600").split() == ["middle", "new"]
    assert log(api, held, "?since_seconds=60").split() == ["new"]
    assert log(api, held, "?since_seconds=86400&tail_lines=2").split() == ["middle", "new"]
    assert log(api, held, "?since_seconds=999999999999").split() == ["old", "middle", "new"]


def test_old_lines_never_change_while_the_log_grows(api: Api, held: Held) -> None:
    shown, size = [log(api, held, "?tail_lines=-1")], 0
    for i in range(4):
        size = held.append(size, framed(f"line {i}")).json["size"]
        shown.append(log(api, held, "?tail_lines=-1"))
    assert all(later.startswith(earlier) for earlier, later in pairwise(shown))


def test_a_second_attempt_is_shown_after_the_first(api: Api, worker: Worker, held: Held) -> None:
    held.append(0, framed("first", "attempt"))
    worker.incarnation = "again"
    assert worker.register().status == 200
    again = next(lease for lease in worker.lease(1).json["leases"] if lease["run_id"] == held.run_id)
    assert again["attempt"] == 2
    second = Held(worker, held.run_id, held.job_id, again["fence"])
    second.append(0, framed("second"))
    assert log(api, held).split() == ["first", "attempt", "second"]
    assert log(api, held, "?tail_lines=2").split() == ["attempt", "second"]


def test_a_followed_log_shows_lines_as_they_come_and_ends_with_the_benchmark(api: Api, held: Held) -> None:
    size = held.append(0, framed("before")).json["size"]
    lines = api.lines(f"{JOBS}/{held.job_id}/benchmarks/0/logs?follow=true")
    assert next(lines) == b"before\n"
    held.start()
    for i in range(3):
        size = held.append(size, framed(f"line {i}")).json["size"]
        assert next(lines) == b"line %d\n" % i
    held.append(size, framed("last"))
    held.end("completed")
    assert list(lines) == [b"last\n"]


def test_following_begins_at_the_tail_that_was_asked_for(api: Api, held: Held) -> None:
    held.append(0, framed(*map(str, range(100))))
    held.end("completed")
    assert list(api.lines(f"{JOBS}/{held.job_id}/benchmarks/0/logs?follow=true&tail_lines=2")) == [b"98\n", b"99\n"]
    assert len(list(api.lines(f"{JOBS}/{held.job_id}/benchmarks/0/logs?follow=true&tail_lines=-1"))) == 100


@pytest.mark.parametrize("ending", ["", "?hard_delete=true"])
def test_following_ends_when_the_job_is_cancelled_or_deleted(api: Api, ending: str) -> None:
    job_id = api.submit()
    lines = api.lines(f"{JOBS}/{job_id}/benchmarks/0/logs?follow=true")
    assert api.delete(f"{JOBS}/{job_id}{ending}").status == 204
    assert list(lines) == []


TAIL = "integer between 1 and 10000, or -1 for all lines"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        *(
            (f"tail_lines={value}", f"The query parameter 'tail_lines' is not a valid {TAIL}: '{value}'.")
            for value in ("0", "10001", "x", "-2", "1.5", "9" * 5000)
        ),
        ("since_seconds=0", "The query parameter 'since_seconds' is not a valid positive integer: '0'."),
        ("since_seconds=x", "The query parameter 'since_seconds' is not a valid integer: 'x'."),
        ("timestamps=maybe", "The query parameter 'timestamps' is not a valid boolean: 'maybe'."),
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_a_bad_query_is_refused_before_the_job_is_looked_up(api: Api, query: str, message: str) -> None:
    for path in (f"{JOBS}/nope/logs", f"{JOBS}/nope/benchmarks/0/logs"):
        reply = api.get(f"{path}?{query}")
        assert (reply.status, reply.code, reply.message) == (400, "query_parameter_invalid", message)


@pytest.mark.parametrize("index", ["x", "-1", "1.5", "%C2%B2", "%20"])
def test_an_index_that_is_no_number_is_refused(api: Api, index: str) -> None:
    reply = api.get(f"{JOBS}/nope/benchmarks/{index}/logs")
    assert (reply.status, reply.code) == (400, "query_parameter_invalid")
    assert "'benchmark_index' is not a valid non-negative integer" in reply.message


@pytest.mark.parametrize("index", ["1", "99", "9" * 30, "9" * 5000])
def test_an_index_beyond_the_last_benchmark_is_a_404(api: Api, index: str) -> None:
    reply = api.get(f"{JOBS}/{api.submit()}/benchmarks/{index}/logs")
    assert (reply.status, reply.code) == (404, "resource_not_found")


def test_unknown_parameters_are_ignored(api: Api) -> None:
    assert api.get(f"{JOBS}/{api.submit()}/logs?zzz=1").status == 200


@pytest.mark.parametrize("tail", ["0", "-2", "10001", "1_0", "%D9%A3", "%205", "+5", "1e1", "x", "9" * 30])
def test_a_tail_that_is_no_number_of_lines_is_refused(api: Api, held: Held, tail: str) -> None:
    for path in (f"{JOBS}/{held.job_id}/logs", f"{JOBS}/{held.job_id}/benchmarks/0/logs"):
        reply = api.get(f"{path}?tail_lines={tail}")
        assert (reply.status, reply.code) == (400, "query_parameter_invalid"), reply.text


def test_of_a_tail_that_is_given_twice_the_first_counts(api: Api, held: Held) -> None:
    held.append(0, framed("one", "two", "three"))
    assert log(api, held, "?tail_lines=0001&tail_lines=2") == "three"
