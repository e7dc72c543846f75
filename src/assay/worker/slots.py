"""The slots and GPUs of a worker: which attempts have them, and which are free."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from assay.model.protocol import Gpu
from assay.worker.attempt import Attempt


@dataclass(frozen=True)
class Ask:
    """Slots and GPUs that are set aside while the server is asked for runs to take them."""

    free: int
    gpus: tuple[str, ...]


class Slots:
    """There are `count` slots. A slot and its GPUs are free again when everything of their attempt has ended."""

    def __init__(self, count: int, gpus: Sequence[Gpu]) -> None:
        self._count, self._gpus = count, [gpu.id for gpu in gpus]
        self._attempts: dict[Attempt, asyncio.Task[None]] = {}
        self._asks: list[Ask] = []
        self._closed = False
        self.changed = asyncio.Event()
        """Set when a slot is free for which nobody asks, and when no attempt is left."""
        self.more_gpus = asyncio.Event()
        """Set when a GPU is free for which nobody asks."""

    @property
    def attempts(self) -> list[Attempt]:
        """Every attempt that has not been heard of to its end."""
        return list(self._attempts)

    @property
    def free(self) -> int:
        """How many slots are free and not set aside; none once the worker ends."""
        if self._closed:
            return 0
        busy = sum(not attempt.over for attempt in self._attempts)
        return max(self._count - busy - sum(ask.free for ask in self._asks), 0)

    @contextlib.contextmanager
    def asking(self, most: int) -> Iterator[Ask]:
        """Set up to `most` free slots aside, and all free GPUs where there are any."""
        free = min(self.free, most)
        ask = Ask(free, self._free_gpus() if free else ())
        self._asks.append(ask)
        try:
            yield ask
        finally:
            self._asks.remove(ask)
            if self._free_gpus():
                self.more_gpus.set()

    def begin(self, attempt: Attempt, work: Coroutine[Any, Any, None]) -> None:
        """Have an attempt carried out by `work`."""
        if self._closed:
            attempt.stop()
        self._attempts[attempt] = asyncio.create_task(self._carry_out(attempt, work))

    async def end_all(self, timeout_s: float, *, drop: bool, close: bool = False) -> None:
        """Stop every attempt and wait for them. `close`: those that begin from now on are stopped at once."""
        self._closed |= close
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while self._attempts and loop.time() < deadline:
            for attempt in self._attempts:
                attempt.stop(drop=drop)
            tasks = list(self._attempts.values())
            await asyncio.wait(tasks, timeout=deadline - loop.time(), return_when=asyncio.FIRST_COMPLETED)

    def _free_gpus(self) -> tuple[str, ...]:
        taken = {gpu for attempt in self._attempts if not attempt.over for gpu in attempt.gpus}
        taken |= {gpu for ask in self._asks for gpu in ask.gpus}
        return tuple(gpu for gpu in self._gpus if gpu not in taken)

    async def _carry_out(self, attempt: Attempt, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            del self._attempts[attempt]
            if self.free or not self._attempts:
                self.changed.set()
            if attempt.gpus and self._free_gpus():
                self.more_gpus.set()
