"""The outbox is emptied: every parcel goes to its target, however often it takes, and no target makes another wait.

Nobody who changes a job waits for this. Each target has a few places of its own (a bulkhead); one that has failed keeps a
single place until it answers again, so that targets that hang hold little more than themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from assay.model.errors import AssayError
from assay.scheduler.identifiers import now
from assay.store.base import Operation, Store
from assay.store.notices import WEBHOOK, SetPublishers
from assay.store.outbox import CARD, OUTBOX, DueParcels, NextParcel, Parcel, PruneTarget, ReleaseParcels, TakeParcels

log = logging.getLogger(__name__)

_AT_ONCE = 256
"""Most parcels under way in all."""
_EACH = 8
"""Most parcels of one target that are looked at together."""
_SPARE_S = 15.0
"""A parcel is held so much longer than its attempt may take, so that no two servers send it at once."""
_KEPT = 500
"""How many notices are kept of each target to be looked at, of those delivered and of those given up."""
_PRUNED_AFTER = 100


class Carrier(Protocol):
    """Brings parcels of one kind to their targets."""

    @property
    def slots(self) -> int:
        """How many parcels may be under way to one target."""
        ...

    @property
    def limit_s(self) -> float:
        """Longest time of one attempt."""
        ...

    @property
    def longest_pause_s(self) -> float:
        """Longest pause between two attempts."""
        ...

    async def ready(self, parcels: list[Parcel]) -> list[Parcel]:
        """Return those of the parcels that may be sent at this moment."""
        ...

    async def carry(self, parcel: Parcel, now: Callable[[], int]) -> Operation[Any]:
        """Make an attempt; return what writes that it went well. Raises whatever went wrong."""
        ...

    def failed(self, parcel: Parcel, error: Exception, now: int, pause_s: float) -> Operation[Any]:
        """Return what writes that an attempt came to nothing; if another follows, it is after `pause_s`."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class Outbox:
    """Sends what is in a store's outbox, by the carrier of its kind.

    `pause_s` says how long to wait after the n-th attempt that failed.
    """

    def __init__(
        self, store: Store, carriers: Mapping[str, Carrier], pause_s: Callable[[int], float] = lambda n: 2.0 ** (n - 1)
    ) -> None:
        self._store, self._carriers, self._pause_s = store, carriers, pause_s
        self._publishers = tuple(kind for kind in carriers if kind not in (CARD, WEBHOOK))
        self._busy: set[asyncio.Task[None]] = set()
        self._under_way: Counter[str] = Counter()
        self._failing: set[str] = set()
        self._ended: Counter[str] = Counter()

    async def empty(self, period_s: float = 1.0) -> None:
        """Send what is due, for ever."""
        try:
            prepared = False
            while True:
                ticket = self._store.signals.ticket([OUTBOX])
                try:
                    if not prepared:
                        await self._prepare()
                        prepared = True
                    await self._take()
                except AssayError as error:
                    log.error("what is in the outbox waits: %s", error.message)
                except Exception:  # whatever it is: without this loop nothing would ever leave
                    log.exception("what is in the outbox waits")
                await ticket.wait(period_s)
                if self._store.signals.closed:
                    await asyncio.sleep(period_s)
        finally:
            for task in self._busy:
                task.cancel()
            await asyncio.gather(*self._busy, return_exceptions=True)
            for carrier in self._carriers.values():
                await carrier.close()

    async def _prepare(self) -> None:
        """Say who publishes, and take up what was under way when the server stopped."""
        await self._store.apply(SetPublishers(self._publishers, now()))
        if self._store.writes_alone:  # no other server has a part of this outbox in its hands
            await self._store.apply(ReleaseParcels(now()))

    async def _take(self) -> None:
        due = await self._store.lookup(NextParcel())
        if due is None or due > now():
            return
        fitting = self._fitting(await self._store.scan(DueParcels(now(), _EACH)))
        wanted = [(parcel, self._hold(parcel)) for parcel in await self._ready(fitting)]
        if not wanted:
            return
        for parcel in await self._store.apply(TakeParcels(wanted, now())):
            self._under_way[parcel.target] += 1
            task = asyncio.create_task(self._send(parcel))
            self._busy.add(task)
            task.add_done_callback(partial(self._done, parcel.target))

    def _fitting(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Return the parcels for which their targets, and this server, have a place."""
        found: list[Parcel] = []
        taken = self._under_way.copy()
        for parcel in parcels:
            carrier = self._carriers.get(parcel.kind)
            places = 0 if carrier is None else 1 if parcel.target in self._failing else carrier.slots
            if taken[parcel.target] < places and len(self._busy) + len(found) < _AT_ONCE:
                taken[parcel.target] += 1
                found.append(parcel)
        return found

    async def _ready(self, parcels: list[Parcel]) -> list[Parcel]:
        by_kind: dict[str, list[Parcel]] = {}
        for parcel in parcels:
            by_kind.setdefault(parcel.kind, []).append(parcel)
        return [parcel for kind, of_it in by_kind.items() for parcel in await self._carriers[kind].ready(of_it)]

    def _hold(self, parcel: Parcel) -> int:
        return round((self._carriers[parcel.kind].limit_s + _SPARE_S) * 1_000_000)

    def _done(self, target: str, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self._under_way[target] -= 1
        if not self._under_way[target]:
            del self._under_way[target]
        self._store.signals.announce([OUTBOX])

    async def _send(self, parcel: Parcel) -> None:
        """Send one parcel and write how that went. One that is interrupted is sent again when its time is over."""
        carrier = self._carriers[parcel.kind]
        try:
            async with asyncio.timeout(carrier.limit_s):
                ending = await carrier.carry(parcel, now)
            self._failing.discard(parcel.target)
        except Exception as error:
            self._failing.add(parcel.target)
            ending = carrier.failed(parcel, error, now(), min(self._pause_s(parcel.attempt), carrier.longest_pause_s))
        with contextlib.suppress(AssayError):  # the store is away; the parcel is held until its time is over
            await self._store.apply(ending)
            await self._prune(parcel.target)

    async def _prune(self, target: str) -> None:
        self._ended[target] += 1
        if self._ended[target] >= _PRUNED_AFTER:
            del self._ended[target]
            await self._store.apply(PruneTarget(target, _KEPT))
