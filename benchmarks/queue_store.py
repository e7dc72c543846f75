"""Assay's stores as queues: filled with jobs, asked for runs as the server asks them, and told how those ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tests.postgres import Cluster

from assay.model.errors import AssayError
from assay.model.plan import Context, Model, Plan
from assay.model.protocol import Ending, Grant, Registration
from assay.model.quotas import Quota, Quotas, TenantQuota
from assay.model.records import NewJob, NewRun
from assay.scheduler.handover import HandOver
from assay.scheduler.identifiers import new_id, now, rfc3339
from assay.store.base import Operation, Store
from assay.store.jobs import CreateJob
from assay.store.leases import RegisterWorker
from assay.store.queue import TakeRuns
from assay.store.runs import EndRun
from benchmarks.pace import Watch

TENANTS, PROVIDERS, PRIORITIES = 20, 5, 3
"""What the runs of a mixed queue are spread over."""

QUOTAS = Quotas(
    total=Quota(runs=64),
    tenants={"*": TenantQuota(runs=3), "tenant-0": TenantQuota(runs=0), "tenant-1": TenantQuota(weight=4)},
    users={"*": Quota(runs=3)},
    providers={"*": Quota(runs=8)},
)
"""A quota of every kind; one tenant may have nothing, so that its runs stand in the way for good."""

_LEASE, _GRACE = 30_000_000, 10_000_000
_JOBS_AT_ONCE = 500
_EMPTY = "there is no run left to take"


class StoreContender:
    """One of Assay's stores. Each worker is a coroutine that takes, ends, and takes again."""

    def __init__(
        self,
        store: Store,
        per_job: int,
        postgres: Cluster | None = None,
        *,
        mixed: bool = False,
        quotas: Quotas | None = None,
    ) -> None:
        """`per_job`: runs of each job. `mixed`: jobs of many tenants, providers and priorities, rather than of one."""
        self._store, self._per_job, self._postgres = store, per_job, postgres
        self._mixed, self._quotas = mixed, quotas or Quotas()
        self._registered: set[str] = set()

    def pids(self) -> Iterable[int]:
        """Return PostgreSQL's processes; SQLite is in this one."""
        return self._postgres.pids() if self._postgres else ()

    async def fill(self, runs: int) -> None:
        """Queue runs, in jobs that are created in groups."""
        jobs = _jobs(runs, self._per_job, self._mixed)
        at_once = max(1, _JOBS_AT_ONCE // self._per_job)
        while made := [job for _, job in zip(range(at_once), jobs, strict=False)]:
            await self._all([CreateJob(job, now()) for job in made])

    async def drain(self, workers: int, watch: Watch, batch: int = 1) -> None:
        """Take and end as many runs as `watch` asks for."""
        names = [f"worker-{i}" for i in range(workers)]
        for name in names:
            if name not in self._registered:
                registration = Registration(name=name, incarnation="1", slots=batch, engines={"adapter": "1"})
                await self._store.apply(RegisterWorker(registration, now()))
                self._registered.add(name)
        left = iter(range(0, watch.runs, batch))
        await asyncio.gather(*[self._work(name, left, watch, batch) for name in names])

    async def _work(self, name: str, left: Iterator[int], watch: Watch, batch: int) -> None:
        for taken in left:
            asked = watch.begin()
            leases = (await self._store.apply(self._taking(name, min(batch, watch.runs - taken)))).leases
            began = watch.claimed(asked)
            if not leases:
                raise SystemExit(_EMPTY)
            moment = now()
            at = rfc3339(moment)
            await self._all([_end(lease, moment, at) for lease in leases])
            watch.finished(began, len(leases))

    def _taking(self, name: str, free: int) -> TakeRuns:
        return TakeRuns(name, "1", free, now(), _LEASE, self._quotas)

    async def _all(self, operations: Sequence[Operation[Any]]) -> None:
        for answer in await self._store.transact(operations):
            if isinstance(answer, AssayError):
                raise answer


class HandingOver(StoreContender):
    """The same asked as Assay's worker asks: its end of a run brings the next, one at a time whatever the batch."""

    async def _work(self, name: str, left: Iterator[int], watch: Watch, batch: int) -> None:
        if next(left, None) is None:
            return
        began = watch.begin()
        leases = (await self._store.apply(self._taking(name, 1))).leases
        more = True
        while more:
            if not leases:
                raise SystemExit(_EMPTY)
            began = watch.claimed(began)
            more = next(left, None) is not None
            following = self._taking(name, 1) if more else None
            moment = now()
            leases = (await self._store.apply(HandOver(_end(leases[0], moment, rfc3339(moment)), take=following))).leases
            watch.finished(began)


def _end(lease: Grant, moment: int, at: str) -> EndRun:
    ending = Ending(fence=lease.fence, outcome="completed", metrics={"acc": 0.5})
    return EndRun(lease.run_id, ending, moment, at, _GRACE)


def _jobs(runs: int, per_job: int, mixed: bool) -> Iterator[NewJob]:
    for i in range(-(-runs // per_job)):
        tenant, provider = (i % TENANTS, i // TENANTS % PROVIDERS) if mixed else (0, 0)
        yield NewJob(
            id=new_id(),
            kind="evaluation",
            tenant=f"tenant-{tenant}" if mixed else "",
            owner=f"user-{tenant}" if mixed else "",
            name=f"job-{i}",
            tags=[],
            spec=b'{"name":"job"}',
            runs=[_run(f"provider-{provider}", n) for n in range(per_job)],
            priority=i // (TENANTS * PROVIDERS) % PRIORITIES if mixed else 0,
        )


def _run(provider: str, n: int) -> NewRun:
    plan = Plan(kind="evaluation", provider_id=provider, benchmark_id=f"b{n}", engine="adapter", model=Model("m"))
    return NewRun(id=new_id(), plan=plan, context=Context(), digest=plan.digest())
