"""How tasks end, and with them the programs."""

from __future__ import annotations

import asyncio

import pytest

from assay import eventloop


async def test_a_task_whose_library_catches_a_cancellation_ends_all_the_same() -> None:
    caught = 0

    async def stubborn() -> None:
        nonlocal caught
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                caught += 1
                if caught == 3:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await eventloop.end(task, insist_s=0.01)
    assert task.cancelled()
    assert caught == 3


async def test_a_task_that_fails_while_it_ends_is_no_error_of_whoever_ends_it() -> None:
    async def failing() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("in the end")

    task = asyncio.create_task(failing())
    await asyncio.sleep(0)
    await eventloop.end(task)
    assert isinstance(task.exception(), ValueError)


class Stubborn:
    """A task that takes a number of cancellations for something else, as client libraries do."""

    def __init__(self, times: int) -> None:
        self._times, self.cancelled = times, 0

    async def run(self) -> None:
        while self.cancelled <= self._times:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1


def test_a_program_ends_although_a_task_overlooks_that_it_is_cancelled() -> None:
    left = [Stubborn(0), Stubborn(2)]

    async def main() -> str:
        running = [asyncio.create_task(one.run()) for one in left]
        await asyncio.sleep(0)
        return f"{len(running)} are left"

    assert eventloop.run(main()) == "2 are left"
    assert [one.cancelled for one in left] == [1, 3]


def test_a_program_that_fails_ends_what_it_has_begun_and_then_says_why() -> None:
    left = Stubborn(1)
    begun: list[asyncio.Task[None]] = []

    async def main() -> None:
        begun.append(asyncio.create_task(left.run()))
        await asyncio.sleep(0)
        raise ValueError("it could not start")

    with pytest.raises(ValueError, match="could not start"):
        eventloop.run(main())
    assert left.cancelled == 2
    assert begun[0].done()
