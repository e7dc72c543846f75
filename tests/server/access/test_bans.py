"""Bans: after how many wrong keys, for how long, and that they cannot fill the memory."""

from __future__ import annotations

from assay.server.access.bans import FORGIVEN_AFTER_S, Bans


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def ban(bans: Bans, address: str = "a") -> float:
    """Fail until a ban begins; return how long it is."""
    while not (length := bans.failed(address)):
        pass
    return length


def test_so_many_failures_ban_and_other_addresses_are_not_concerned() -> None:
    bans = Bans(3, 10, 100, Clock())
    assert [bans.failed("a"), bans.failed("a"), bans.left("a"), bans.failed("a")] == [0, 0, 0, 10]
    assert (bans.left("a"), bans.left("b")) == (10, 0)


def test_each_ban_is_twice_as_long_up_to_the_longest() -> None:
    clock = Clock()
    bans = Bans(2, 10, 35, clock)
    lengths = []
    for _ in range(4):
        lengths.append(ban(bans))
        clock.now += lengths[-1]
        assert bans.left("a") == 0
    assert lengths == [10, 20, 35, 35]


def test_who_behaves_for_long_enough_begins_anew() -> None:
    clock = Clock()
    bans = Bans(2, 10, 1000, clock)
    assert (ban(bans), ban(bans)) == (10, 20)
    clock.now += 20 + FORGIVEN_AFTER_S + 1
    assert bans.failed("a") == 0
    assert bans.failed("a") == 10


def test_failures_that_lie_far_apart_do_not_add_up() -> None:
    clock = Clock()
    bans = Bans(2, 10, 1000, clock)
    for _ in range(10):
        assert bans.failed("a") == 0
        clock.now += FORGIVEN_AFTER_S + 1


def test_the_ban_of_another_server_goes_on_as_long_as_there_and_counts_as_one() -> None:
    clock = Clock()
    bans = Bans(3, 10, 35, clock)
    bans.failed("a")
    bans.ban("a", 20)
    assert bans.left("a") == 20
    bans.ban("a", 10)
    bans.ban("a", 1000)
    assert bans.left("a") == 35
    clock.now += 35
    assert ban(bans) == 20


def test_who_has_not_failed_here_is_not_banned_by_another_server() -> None:
    bans = Bans(0, 10, 100, Clock())
    bans.failed("a")
    bans.ban("a", 10)
    assert (bans.left("a"), bans.left("b")) == (0, 0)


def test_nobody_is_banned_where_that_is_off() -> None:
    bans = Bans(0, 10, 100, Clock())
    assert [bans.failed("a") for _ in range(50)] == [0] * 50
    assert not bans.any


def test_the_addresses_that_failed_longest_ago_go_first() -> None:
    bans = Bans(1, 10, 100, Clock(), most=2)
    for address in "abac":
        bans.failed(address)
    assert [bans.left(address) > 0 for address in "abc"] == [True, False, True]
