"""Rates: what a bucket allows, what it tells, and that it cannot grow for ever."""

from __future__ import annotations

import pytest

from assay.config.rates import DEFAULT_RATES, Rate, rate_limits
from assay.model.access import Cost
from assay.server.access.limits import MemoryLimiter, headers


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_burst_is_allowed_and_then_only_the_rate() -> None:
    clock = Clock()
    limiter = MemoryLimiter({Cost.READ: Rate(2, 3)}, clock)
    taken = [await limiter.take("a", Cost.READ) for _ in range(4)]
    assert [one and (one.allowed, one.remaining) for one in taken] == [(True, 2), (True, 1), (True, 0), (False, 0)]
    assert taken[3] is not None
    assert taken[3].retry_s == 0.5
    clock.now = 0.5
    again = [await limiter.take("a", Cost.READ) for _ in range(2)]
    assert [one and one.allowed for one in again] == [True, False]
    clock.now = 1000
    assert [one and one.remaining for one in [await limiter.take("a", Cost.READ)]] == [2]


async def test_a_refused_call_takes_nothing() -> None:
    clock = Clock()
    limiter = MemoryLimiter({Cost.READ: Rate(1, 1)}, clock)
    await limiter.take("a", Cost.READ)
    for moment in (0.25, 0.5, 0.75):
        clock.now = moment
        refused = await limiter.take("a", Cost.READ)
        assert refused is not None
        assert (refused.allowed, refused.retry_s) == (False, 1 - moment)
    clock.now = 1.0
    taken = await limiter.take("a", Cost.READ)
    assert taken is not None
    assert taken.allowed


async def test_callers_and_classes_do_not_share_a_bucket() -> None:
    limiter = MemoryLimiter({Cost.READ: Rate(1, 1), Cost.WRITE: Rate(1, 1)}, Clock())
    taken = [await limiter.take(who, cost) for who in "ab" for cost in (Cost.READ, Cost.WRITE)]
    assert all(one is not None and one.allowed for one in taken)


async def test_a_class_without_a_rate_is_not_limited() -> None:
    assert await MemoryLimiter({}, Clock()).take("a", Cost.SUBMIT) is None


async def test_the_buckets_that_were_used_longest_ago_go_first() -> None:
    limiter = MemoryLimiter({Cost.READ: Rate(1, 1)}, Clock(), most=2)
    for who in ("a", "b", "a", "c"):
        await limiter.take(who, Cost.READ)
    kept = [await limiter.take(who, Cost.READ) for who in ("a", "c", "b")]
    assert [one and one.allowed for one in kept] == [False, False, True]


async def test_the_headers_say_quota_window_rest_and_time_until_all_is_there_again() -> None:
    taken = await MemoryLimiter({Cost.SUBMIT: Rate(2, 10)}, Clock()).take("a", Cost.SUBMIT)
    assert taken is not None
    assert headers(Cost.SUBMIT, taken) == [
        (b"ratelimit-policy", b'"submit";q=10;w=5'),
        (b"ratelimit", b'"submit";r=9;t=1'),
    ]


def test_limits_are_off_on_loopback_and_on_elsewhere_unless_something_is_said() -> None:
    assert rate_limits("").in_force(loopback=True) == {}
    assert rate_limits("").in_force(loopback=False) == DEFAULT_RATES
    assert rate_limits("off").in_force(loopback=False) == {}
    assert rate_limits("on").in_force(loopback=True) == DEFAULT_RATES
    given = rate_limits("submit=0.5/3, read=7/9").in_force(loopback=True)
    assert given == {**DEFAULT_RATES, Cost.SUBMIT: Rate(0.5, 3), Cost.READ: Rate(7, 9)}


@pytest.mark.parametrize(
    "text", ["read", "read=1", "read=0/1", "read=1/0", "free=1/1", "reed=1/1", "read=-1/1", "read=1/1,"]
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="CLASS=RATE/BURST"):
        rate_limits(text)
