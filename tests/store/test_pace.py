"""Where commits are waited for follows from how long they have taken lately."""

from __future__ import annotations

from assay.store.sqlite.pace import QUICK_S, Pace


def after(*seconds: float) -> bool:
    pace = Pace()
    for one in seconds:
        pace.note(one)
    return pace.quick


def test_nothing_is_known_of_a_new_disk() -> None:
    assert not after()
    assert not after(*[QUICK_S / 10] * 10)


def test_a_quick_disk_is_waited_for_on_the_loop() -> None:
    assert after(*[QUICK_S / 2] * 64)


def test_a_slow_disk_is_waited_for_in_the_thread() -> None:
    assert not after(*[QUICK_S * 2] * 200)


def test_one_long_wait_counts_until_it_is_long_ago() -> None:
    quick = [QUICK_S / 2] * 64
    assert not after(*quick, QUICK_S * 10)
    assert not after(*quick, QUICK_S * 10, *quick[1:])
    assert after(*quick, QUICK_S * 10, *quick)
