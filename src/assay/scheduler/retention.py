"""Retention: deletes what the settings do not ask to keep any longer, a little at a time.

Only jobs that have ended are touched, and none of which a card is still on its way. A job goes by the ordinary deletion, so
whoever counts or announces deletions hears of it; its blobs go with the next sweep. Between two batches there is a pause
several times as long as the batch took, so that others hardly notice. Workers are forgotten that hold nothing and have long
been silent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from assay.artifacts.log_folders import LogFolders
from assay.config import Settings
from assay.model.errors import AssayError
from assay.model.ids import first_id
from assay.scheduler.identifiers import now
from assay.store.base import Store
from assay.store.queries import JobCounts
from assay.store.retention import (
    BATCH,
    DropEvents,
    EndedAmong,
    EndedJobs,
    ExpireJob,
    ForgetSilent,
    JobsWithEvents,
    SilentWorkers,
)

log = logging.getLogger(__name__)

_DAY_US = 86_400_000_000
_PATIENCE = 4.0
"""How many times as long as a batch took the pause after it is."""
_SHORTEST_PAUSE_S = 0.01


class Policy(NamedTuple):
    """How long what is kept, in days after a job has ended, or a worker was heard of (0: for ever); most bytes of all logs
    (-1: any)."""

    jobs: float
    jobs_of: Mapping[str, float]
    """Of tenants for which another time counts."""
    logs: float
    events: float
    log_bytes: int
    workers: float

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Return what the settings ask for."""
        workers, lease = settings.keep_workers_days, settings.lease_seconds * 1_000_000 / _DAY_US
        return cls(
            settings.keep_jobs_days,
            {tenant: float(days) for tenant, _, days in (one.rpartition("=") for one in settings.keep_jobs_days_of_tenants)},
            settings.keep_logs_days,
            settings.keep_events_days,
            settings.max_total_log_bytes,
            max(workers, lease) if workers else 0,
        )

    def __bool__(self) -> bool:
        days = (self.jobs, *self.jobs_of.values(), self.logs, self.events, self.workers)
        return any(days) or self.log_bytes >= 0


@dataclass
class Cleaned:
    """What has gone, or what would go."""

    jobs: int = 0
    tenants: dict[str, int] = field(default_factory=dict)
    """Of those jobs, by tenant."""
    logs: int = 0
    """Jobs of which only the logs go."""
    log_bytes: int = 0
    """Bytes of all logs that go."""
    events: int = 0
    """Events of jobs that stay."""
    workers: int = 0

    def __bool__(self) -> bool:
        return bool(self.jobs or self.logs or self.events or self.workers)


class Retention:
    """Applies a policy to a store, and to the logs of one data folder."""

    def __init__(self, store: Store, folders: LogFolders, policy: Policy) -> None:
        self._store, self._folders, self._policy = store, folders, policy
        self._asked = asyncio.Event()
        self._busy = asyncio.Lock()

    async def keep_up(self, period_s: float = 3600.0) -> None:
        """Clean up for ever: now and then, and as soon as it is asked for."""
        while True:
            try:
                cleaned = await self.clean()
                if cleaned:
                    log.info("cleaned up: %s", cleaned)
            except (AssayError, OSError) as error:
                log.error("the clean-up waits: %s", error)
            except Exception:  # whatever it is: without it the disk would fill up
                log.exception("the clean-up waits")
            try:
                await asyncio.wait_for(self._asked.wait(), period_s)
            except TimeoutError:
                continue
            self._asked.clear()

    def ask(self) -> None:
        """Have `keep_up` clean up now."""
        self._asked.set()

    async def clean(self, *, dry_run: bool = False) -> Cleaned:
        """Delete what need not be kept any longer, and say what that was; `dry_run`: only say it."""
        found = Cleaned()
        if not self._policy:
            return found
        if dry_run:
            return await self._clean(found, dry_run=True)
        async with self._busy:
            return await self._clean(found, dry_run=False)

    async def _clean(self, found: Cleaned, *, dry_run: bool) -> Cleaned:
        moment, going = now(), set[str]()
        await self._jobs(found, moment, going, dry_run)
        if self._policy.events:
            await self._events(found, moment - _us(self._policy.events), going, dry_run)
        if self._policy.logs or self._policy.log_bytes >= 0:
            await self._logs(found, moment, going, dry_run)
        if self._policy.workers:
            before = moment - _us(self._policy.workers)
            names = await (self._store.scan(SilentWorkers(before)) if dry_run else self._store.apply(ForgetSilent(before)))
            found.workers = len(names)
        return found

    async def _jobs(self, found: Cleaned, moment: int, going: set[str], dry_run: bool) -> None:
        tenants = {tenant for tenant, _, _ in await self._store.scan(JobCounts())}
        for tenant in sorted(tenants):
            days = self._policy.jobs_of.get(tenant, self._policy.jobs)
            if not days:
                continue
            before = moment - _us(days)
            async for ids in self._batches(EndedJobs(tenant, before)):
                gone = list(ids) if dry_run else await self._expire(ids, before)
                going.update(gone)
                found.jobs += len(gone)
                if gone:
                    found.tenants[tenant] = found.tenants.get(tenant, 0) + len(gone)
                found.log_bytes += await asyncio.to_thread(self._drop_logs, gone, dry_run)

    async def _expire(self, ids: tuple[str, ...], before: int) -> list[str]:
        """Delete jobs; return those that are gone. One with many events loses them first, in pieces."""
        gone = []
        for answer, id_ in zip(await self._store.transact([ExpireJob(id_, before, now()) for id_ in ids]), ids, strict=True):
            outcome = answer
            while outcome is None:  # too many events for one transaction
                await self._drop_events(id_, before)
                outcome = await self._store.apply(ExpireJob(id_, before, now()))
            if isinstance(outcome, AssayError):
                raise outcome
            if outcome:
                gone.append(id_)
        return gone

    async def _events(self, found: Cleaned, before: int, going: set[str], dry_run: bool) -> None:
        async for ids in self._batches(JobsWithEvents(before)):
            for id_ in ids:
                if id_ in going:
                    continue
                if dry_run:
                    found.events += (await self._store.scan(EndedAmong((id_,), before)))[1]
                else:
                    found.events += await self._drop_events(id_, before)

    async def _drop_events(self, job_id: str, before: int) -> int:
        total = 0
        while dropped := await self._paced(DropEvents(job_id, before)):
            total += dropped
        return total

    async def _paced(self, operation: DropEvents) -> int:
        began = time.monotonic()
        done = await self._store.apply(operation)
        await _pause(began)
        return done

    async def _logs(self, found: Cleaned, moment: int, going: set[str], dry_run: bool) -> None:
        """Delete the logs of jobs that ended long ago; and while there are too many, those of the oldest that have ended."""
        sizes = await asyncio.to_thread(lambda: {id_: self._folders.size(id_) for id_ in self._folders.jobs()})
        sizes = {id_: size for id_, size in sizes.items() if id_ not in going}
        if days := self._policy.logs:
            before = moment - _us(days)
            await self._drop_ended(found, sizes, before, 0, dry_run)
        if self._policy.log_bytes >= 0:
            await self._drop_ended(found, sizes, moment, self._policy.log_bytes, dry_run)

    async def _drop_ended(self, found: Cleaned, sizes: dict[str, int], before: int, most: int, dry_run: bool) -> None:
        """Delete the logs of jobs that ended before a time, oldest first, until no more than `most` bytes are left."""
        total = sum(sizes.values())
        old = [id_ for id_ in sizes if id_ < first_id(before / 1e6)]
        for first in range(0, len(old), BATCH):
            if total <= most:
                return
            began = time.monotonic()
            ended, _ = await self._store.scan(EndedAmong(tuple(old[first : first + BATCH]), before))
            for id_ in sorted(ended):
                if total <= most:
                    break
                total -= sizes[id_]
                dropped = await asyncio.to_thread(self._drop_logs, [id_], dry_run)
                found.log_bytes += dropped
                found.logs += bool(dropped)
                del sizes[id_]
            await _pause(began)

    def _drop_logs(self, ids: list[str], dry_run: bool) -> int:
        """Delete logs; return their bytes. While a backup holds them they stay, and go another time."""
        sizes = {id_: self._folders.size(id_) for id_ in ids}
        if dry_run or self._folders.remove(ids):
            return sum(sizes.values())
        return 0

    async def _batches(self, query: EndedJobs | JobsWithEvents) -> AsyncIterator[tuple[str, ...]]:
        """Yield the ids that a query finds, batch after batch, with pauses."""
        while True:
            ids = await self._store.scan(query)
            if not ids:
                return
            began = time.monotonic()
            yield ids
            await _pause(began)
            query = query.after_id(ids[-1])


def _us(days: float) -> int:
    return round(days * _DAY_US)


async def _pause(began: float) -> None:
    await asyncio.sleep(max(_SHORTEST_PAUSE_S, _PATIENCE * (time.monotonic() - began)))
