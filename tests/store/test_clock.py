"""Clocks that are put back: a deadline that was set before is never farther away than one that is set now."""

from __future__ import annotations

import time

from assay.model.states import RunState
from assay.store.clock import PutBack, SharedTime
from assay.store.runs import RETRY_DELAY

from .life import GRACE, LEASE, SECOND, Life

_HOURS = 3 * 3600 * SECOND


async def _put_back(life: Life) -> int:
    life.later(-_HOURS)
    return await life.store.apply(PutBack(life.now, LEASE, GRACE))


async def test_a_run_queued_before_the_clock_was_put_back_is_leased_soon_after(life: Life) -> None:
    await life.submit()
    await life.register()
    assert await _put_back(life) == 1
    life.later(RETRY_DELAY)
    assert len(await life.take()) == 1


async def test_a_lease_given_before_the_clock_was_put_back_lapses_in_its_time(life: Life) -> None:
    job = await life.submit()
    await life.register()
    await life.take()
    assert await _put_back(life) == 1
    life.later(LEASE - 1)
    assert await life.lapse_leases() == 0
    life.later(1)
    assert await life.lapse_leases() == 1
    assert (await life.run(job)).state is RunState.QUEUED


async def test_a_grace_given_before_the_clock_was_put_back_ends_in_its_time(life: Life) -> None:
    job = await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.end(lease, "exited", code="process_exited", message="It ended.")
    assert await _put_back(life) == 1
    life.later(GRACE)
    assert await life.lapse_graces() == 1
    assert (await life.run(job)).state is RunState.FAILED


async def test_deadlines_that_are_near_stay_as_they_are(life: Life) -> None:
    await life.submit(2)
    await life.register()
    await life.take()
    assert await life.store.apply(PutBack(life.now, LEASE, GRACE)) == 0


async def test_servers_that_share_a_database_share_its_clock(life: Life, dialect: str) -> None:
    shared = await life.store.lookup(SharedTime())
    if dialect == "sqlite":
        assert shared is None
    else:
        assert shared is not None
        assert abs(shared - time.time_ns() // 1000) < 60 * SECOND
