"""The event loop of Assay's programs: uvloop, which halves what a request costs in asyncio's own, and how tasks end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a program's coroutine to its end, as `asyncio.run` does, and end what it has left running."""
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
