"""Servers that share a database go by its clock: a deadline that one of them sets must mean the same to the others.

Between two measurements the monotonic clock goes on, so that nothing that happens to the machine's own clock matters.
"""

from __future__ import annotations

import asyncio
import logging
import time

from assay.model.errors import AssayError
from assay.scheduler import identifiers
from assay.store.base import Store
from assay.store.clock import SharedTime

log = logging.getLogger(__name__)

_SLOW = 500_000
"""Microseconds that an answer may take at most: within them nobody knows when the clock was read."""


async def follow(store: Store, period_s: float = 2.0) -> None:
    """Measure the clock of the store again and again, for ever."""
    while True:
        await asyncio.sleep(period_s)
        try:
            await measure(store)
        except AssayError:
            continue  # whoever needs the store says so; the clock goes on meanwhile
        except Exception:
            log.exception("the clock of the database could not be read")


async def measure(store: Store, tries: int = 3) -> None:
    """Go by the clock of the store, if it has one that is shared. Raises the store's errors."""
    for left in reversed(range(tries)):
        began = time.monotonic_ns() // 1000
        shared = await store.lookup(SharedTime())
        took = time.monotonic_ns() // 1000 - began
        if shared is None or took < _SLOW or not left:
            identifiers.share(None if shared is None else shared - began - took // 2)
            return
