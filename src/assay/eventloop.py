"""The event loop of Assay's programs: uvloop, which halves what a request costs in asyncio's own, and how tasks end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


_GARBAGE = 5_000
"""New objects after which the youngest are looked through for garbage. A group of requests makes thousands, which then were
looked through again and again while all were still in use; Python's own 700 cost 7% of a claim. What garbage may hold until
then, bodies of requests above all, is what bounds it."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a program's coroutine to its end, as `asyncio.run` does, and end what it has left running."""
    gc.freeze()  # modules and classes stay for good
    gc.set_threshold(_GARBAGE, *gc.get_threshold()[1:])
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.run(_alone(main))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_alone(main))


async def _alone(main: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine, then end every other task, insisting on it: asyncio would cancel each once, and wait for ever."""
    try:
        return await main
    finally:
        while rest := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*map(end, rest))


async def end(task: asyncio.Task[Any], insist_s: float = 0.5) -> None:
    """Cancel a task and wait until it has ended, whatever it ends with.

    A client library may catch a cancellation that meets an error or a time limit of its own, and the task then goes on; so
    it is cancelled again.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=insist_s)
