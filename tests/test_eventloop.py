"""How tasks end."""

from __future__ import annotations

import asyncio

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
