"""Each fault does what its flag says, and the counters tell of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from assay.practice.faults import Fault, early_fault, fault, latency
from assay.practice.options import Options

from .endpoint import Endpoint, running


def met(options: Options, count: int = 2000) -> list[Fault | None]:
    return [fault(options, number, "prompt", streaming=False) for number in range(1, count + 1)]


def test_rates_are_met_and_repeat() -> None:
    faults = met(Options(fail_rate=0.2, seed=1))
    assert 0.17 < faults.count(Fault.FAILED) / len(faults) < 0.23
    assert faults == met(Options(fail_rate=0.2, seed=1)) != met(Options(fail_rate=0.2, seed=2))


def test_rates_of_nought_and_one_are_exact() -> None:
    assert set(met(Options())) == {None}
    assert set(met(Options(hang_rate=1))) == {Fault.HUNG}


def test_every_nth_request_is_limited() -> None:
    limited = [number for number in range(1, 13) if early_fault(Options(rate_limit_every=4), number)]
    assert limited == [4, 8, 12]


def test_jitter_stays_in_its_bounds_and_repeats() -> None:
    options = Options(latency_ms=10, jitter_ms=20, seed=3)
    waits = [latency(options, number) for number in range(200)]
    assert all(0.01 <= wait < 0.03 for wait in waits)
    assert len(set(waits)) > 100
    assert waits == [latency(options, number) for number in range(200)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Options(fail_rate=1.5),
        lambda: Options(latency_ms=-1),
        lambda: Options(refuse=200),
        lambda: Options(api_key=""),
    ],
)
def test_options_out_of_range_are_refused(make: Callable[[], Options]) -> None:
    with pytest.raises(ValueError, match=r"fail_rate|latency_ms|refuse|api_key"):
        make()


def test_a_key_never_shows_in_the_options() -> None:
    assert "canary" not in repr(Options(api_key="canary"))


def test_a_prompt_that_fails_for_good_fails_each_time_and_others_do_not() -> None:
    with running("--fail-on", "7 plus 5") as endpoint:
        tokens = endpoint.post("/tokenize", {"prompt": "What is 7 plus 5?"}).json["tokens"]
        for _ in range(3):
            assert endpoint.chat("What is 7 plus 5?").status == 500
            assert endpoint.complete(tokens).status == 500
        assert endpoint.chat("What is 2 plus 2?").json["choices"][0]["message"]["content"] == "4"
        stats = endpoint.stats()
        assert stats["requests"] == 7
        assert stats["failures_injected"] == stats["failures_by_kind"]["failed"] == 6
        assert stats["answered"] == 1


def test_a_share_of_requests_fails_with_an_error_document() -> None:
    with running("--fail-rate", "0.5") as endpoint:
        replies = [endpoint.chat("Hello") for _ in range(20)]
        expected = [fault(Options(fail_rate=0.5), number, "", streaming=False) for number in range(1, 21)]
        assert [reply.status for reply in replies] == [500 if kind else 200 for kind in expected]
        failed = next(reply for reply in replies if reply.status == 500)
        assert failed.json["error"]["type"] == "server_error"


def test_the_rate_limit_says_when_to_come_back() -> None:
    with running("--rate-limit-every", "2", "--retry-after-s", "7") as endpoint:
        assert [endpoint.chat("Hello").status for _ in range(4)] == [200, 429, 200, 429]
        endpoint.chat("Hello")
        limited = endpoint.chat("Hello")
        assert limited.headers["retry-after"] == "7"
        assert limited.json["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("status", [401, 404])
def test_a_refusing_endpoint_refuses_everything_under_v1(status: int) -> None:
    with running("--refuse", str(status)) as endpoint:
        assert endpoint.chat("Hello").status == status
        assert endpoint.complete("Hello").status == status
        assert endpoint.get("/v1/models").status == status
        assert endpoint.get("/health").status == 200
        assert endpoint.stats()["failures_by_kind"]["refused"] == 2


def test_broken_json_null_content_and_a_truncated_stream() -> None:
    with running("--bad-json-rate", "1") as endpoint:
        reply = endpoint.chat("Hello")
        assert reply.status == 200
        with pytest.raises(json.JSONDecodeError):
            reply.json  # noqa: B018
        with pytest.raises(json.JSONDecodeError):
            json.loads(endpoint.chat("Hello", stream=True).events[0])
    with running("--null-content-rate", "1", "--truncate-stream") as endpoint:
        assert endpoint.chat("Hello").json["choices"][0]["message"]["content"] is None
        assert endpoint.complete("Hello").json["choices"][0]["text"] is None
    with running("--truncate-stream") as endpoint:
        events = endpoint.chat("Hello", stream=True).events
        assert events
        assert "[DONE]" not in events
        assert all(json.loads(event)["choices"][0]["finish_reason"] is None for event in events)
        assert endpoint.chat("Hello").status == 200


def test_a_hanging_request_ends_with_its_client_and_the_server_still_stops() -> None:
    with running("--hang-rate", "1") as endpoint:
        with pytest.raises(TimeoutError):
            endpoint.call("POST", "/v1/completions", {"model": "m", "prompt": "a"}, patience=0.3)
        wait_until(lambda: endpoint.stats()["in_flight"] == 0)
        silent = threading.Thread(target=hang, args=(endpoint,))
        silent.start()
        wait_until(lambda: endpoint.stats()["in_flight"] == 1)
    silent.join()


def hang(endpoint: Endpoint) -> None:
    assert endpoint.complete("a").status == 503


def test_the_most_requests_in_flight_are_counted() -> None:
    with running("--latency-ms", "300") as endpoint:
        threads = [threading.Thread(target=endpoint.chat, args=("Hello",)) for _ in range(5)]
        for thread in threads:
            thread.start()
        wait_until(lambda: endpoint.stats()["answered"] == 5)
        for thread in threads:
            thread.join()
        stats = endpoint.stats()
        assert 1 < stats["max_in_flight"] <= 5
        assert stats["in_flight"] == 0
        assert stats["requests_by_endpoint"] == {"chat": 5, "completions": 0}
        assert stats["completion_tokens"] > 5


def wait_until(condition: Callable[[], bool]) -> None:
    """Ask again until it holds; every question is a request, so this never spins."""
    for _ in range(5000):
        if condition():
            return
    raise AssertionError("the condition never came true")
