"""The gate in front of an endpoint."""

from __future__ import annotations

import asyncio

import pytest

from assay.gateway.endpoint import Endpoint

from .upstream import ManualClock


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_slots_are_given_in_the_order_of_arrival_and_a_retry_keeps_its_place() -> None:
    endpoint = Endpoint(1, ManualClock())
    retried, *later = [Endpoint.number() for _ in range(4)]
    order: list[int] = []
    release = asyncio.Event()

    async def holder() -> None:
        async with endpoint.slot(Endpoint.number()):
            await release.wait()

    async def taker(number: int) -> None:
        async with endpoint.slot(number):
            order.append(number)

    tasks = [asyncio.create_task(holder())]
    await settle()
    tasks += [asyncio.create_task(taker(number)) for number in (*later, retried)]
    await settle()
    release.set()
    await asyncio.gather(*tasks)
    assert order == [retried, *later]
    assert endpoint.active == 0


async def test_a_cancelled_waiter_takes_no_slot() -> None:
    endpoint = Endpoint(1, ManualClock())
    async with endpoint.slot(Endpoint.number()):
        waiter = asyncio.create_task(endpoint._enter(Endpoint.number()))
        await settle()
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
    async with endpoint.slot(Endpoint.number()):
        assert endpoint.active == 1


async def test_a_waiter_cancelled_in_the_moment_of_its_turn_passes_it_on() -> None:
    endpoint = Endpoint(1, ManualClock())
    await endpoint._enter(Endpoint.number())
    first = asyncio.create_task(endpoint._enter(Endpoint.number()))
    second = asyncio.create_task(endpoint._enter(Endpoint.number()))
    await settle()
    endpoint._leave()
    first.cancel()
    await asyncio.wait_for(second, 20)
    assert endpoint.active == 1


async def test_a_pause_can_only_grow() -> None:
    clock = ManualClock()
    endpoint = Endpoint(2, clock)
    endpoint.pause(10)
    endpoint.pause(3)
    async with endpoint.slot(Endpoint.number()):
        assert clock.time == 1010.0
