"""Drives a store in the words of the domain, with a clock that only the test turns, and looks behind its counters."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from assay.model.exports import Export
from assay.model.ids import uuid7
from assay.model.placement import Resources
from assay.model.plan import Context, Model, Plan
from assay.model.protocol import Ending, Grant, Heartbeat, Holding, Lease, Registration
from assay.model.records import Attempt, Event, Job, NewJob, NewRun, Run
from assay.model.results import Report, Result
from assay.model.scores import Criteria
from assay.model.states import Status, WorkerState
from assay.store.base import Row, Statement, Steps, Store
from assay.store.history import EventsOfJob
from assay.store.jobs import CancelJob, CancelRun, CreateJob, DeleteJob
from assay.store.leases import (
    DirectWorker,
    DismissWorker,
    ForgetWorker,
    LapseGraces,
    LapseLeases,
    RegisterWorker,
    RenewLeases,
)
from assay.store.queries import AttemptsOfRun, JobWithRuns, NextReady, RegisteredWorker
from assay.store.queue import TakeRuns
from assay.store.runs import EndRun, ReportRun, StartRun

START = 1_790_000_000_000_000
SECOND = 1_000_000
LEASE = 30 * SECOND
GRACE = 10 * SECOND
DELAY = 2 * SECOND


@dataclass(frozen=True)
class Gate:
    """Goes on and on, and with it the transaction, until the test opens it; the event loop runs all the while."""

    entered: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def steps(self) -> Steps[None]:
        self.entered.set()
        while not self.opened.is_set():
            yield Statement("nothing", {}, "SELECT 1")


@dataclass(frozen=True)
class Ask:
    """A question in SQL, for what no query of the store answers."""

    sql: str

    def steps(self) -> Steps[list[dict[str, Any]]]:
        rows: list[Row] = yield Statement("ask", {}, self.sql)
        return [dict(row) for row in rows]


class Identifiers:
    """UUIDv7 texts in the order in which they were asked for."""

    def __init__(self) -> None:
        self._made = 0

    def __call__(self) -> str:
        self._made += 1
        return uuid7(self._made, bytes(10))


def new_job(
    new_id: Identifiers,
    runs: int = 1,
    *,
    name: str = "j",
    tenant: str = "",
    owner: str = "",
    tags: Sequence[str] = (),
    engines: Sequence[str] = (),
    criteria: Sequence[Criteria] = (),
    priority: int = 0,
    max_attempts: int = 3,
    key: str = "",
    spec: bytes = b'{"name":"j"}',
    model: str = "",
    collection: str = "",
    threshold: float | None = None,
    exports: Sequence[str] = (),
    resources: Resources | None = None,
) -> NewJob:
    """A submission of `runs` benchmarks b0, b1, … of provider p."""
    job_id = new_id()
    made = []
    for index in range(runs):
        engine = engines[index] if index < len(engines) else "adapter"
        plan = Plan(
            kind="evaluation",
            provider_id="p",
            benchmark_id=f"b{index}",
            engine=engine,
            model=Model("m"),
            resources=resources,
        )
        context = Context(criteria=criteria[index] if index < len(criteria) else Criteria())
        asked = resources or Resources()
        made.append(
            NewRun(id=new_id(), plan=plan, context=context, digest=plan.digest(), gpus=asked.gpus, labels=asked.labels)
        )
    return NewJob(
        id=job_id,
        kind="evaluation",
        tenant=tenant,
        owner=owner,
        name=name,
        tags=list(tags),
        spec=spec,
        runs=made,
        model=model,
        collection=collection,
        threshold=threshold,
        priority=priority,
        max_attempts=max_attempts,
        idempotency_key=key,
        posted=spec.decode(),
        exports={target: Export() for target in exports},
    )


class Life:
    """A store, a clock, and everything that users, workers and adapters do."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = START
        self.new_id = Identifiers()

    def later(self, microseconds: int = SECOND) -> int:
        self.now += microseconds
        return self.now

    @property
    def at(self) -> str:
        return f"at {self.now}"

    async def submit(self, runs: int = 1, **more: Any) -> NewJob:
        job = new_job(self.new_id, runs, **more)
        await self.store.apply(CreateJob(job, self.now))
        return job

    async def register(
        self, name: str = "w", incarnation: str = "1", engines: Sequence[str] = ("adapter",), **more: Any
    ) -> WorkerState:
        versions = dict.fromkeys(engines, "1")
        registration = Registration(name=name, incarnation=incarnation, slots=4, engines=versions, **more)
        return await self.store.apply(RegisterWorker(registration, self.now))

    async def direct(self, state: WorkerState, name: str = "w") -> None:
        await self.store.apply(DirectWorker(name, state))

    async def dismiss(self, name: str = "w", incarnation: str = "1") -> WorkerState:
        return await self.store.apply(DismissWorker(name, incarnation, self.now))

    async def forget(self, name: str = "w") -> None:
        await self.store.apply(ForgetWorker(name, self.now, LEASE))

    async def take(self, free: int = 1, name: str = "w", incarnation: str = "1", gpus: int = 0) -> list[Lease]:
        taking = TakeRuns(name, incarnation, free, self.now, LEASE, free_gpus=gpus)
        grants = (await self.store.apply(taking)).leases
        return msgspec.json.decode(msgspec.json.encode(grants), type=list[Lease])

    async def next_ready(self, name: str = "w", incarnation: str = "1") -> int | None:
        worker = await self.store.lookup(RegisteredWorker(name, incarnation))
        return await self.store.lookup(NextReady(tuple(worker.engines)))

    async def beat(self, *holding: Holding, name: str = "w", incarnation: str = "1") -> list[str]:
        beat = Heartbeat(incarnation, list(holding))
        return (await self.store.apply(RenewLeases(name, beat, self.now, LEASE), urgent=True)).stop

    async def start(self, lease: Lease) -> None:
        await self.store.apply(StartRun(lease.run_id, lease.fence, self.now, self.at))

    async def end(self, lease: Lease | Grant, outcome: str = "completed", **more: Any) -> None:
        ending = Ending(fence=lease.fence, outcome=outcome, **more)
        await self.store.apply(EndRun(lease.run_id, ending, self.now, self.at, GRACE, DELAY))

    async def report(
        self,
        job: NewJob,
        status: Status,
        index: int = 0,
        *,
        report: Report | None = None,
        result: Result | None = None,
        fence: int | None = None,
        tenant: str | None = None,
        benchmark: str = "",
    ) -> None:
        operation = ReportRun(
            job_id=job.id,
            tenant=tenant,
            provider_id="p",
            benchmark_id=benchmark or f"b{index}",
            index=index,
            status=status,
            report=report or Report(),
            result=result,
            now=self.now,
            at=self.at,
            grace=GRACE,
            fence=fence,
        )
        await self.store.apply(operation)

    async def cancel(self, job: NewJob, tenant: str | None = None) -> None:
        await self.store.apply(CancelJob(job.id, tenant, self.now))

    async def cancel_run(self, job: NewJob, index: int = 0, tenant: str | None = None) -> None:
        await self.store.apply(CancelRun(job.id, index, tenant, self.now))

    async def delete(self, job: NewJob, tenant: str | None = None) -> list[str]:
        return await self.store.apply(DeleteJob(job.id, tenant, self.now))

    async def lapse_leases(self) -> int:
        return await self.store.apply(LapseLeases(self.now))

    async def lapse_graces(self) -> int:
        return await self.store.apply(LapseGraces(self.now))

    async def job(self, job: NewJob) -> Job:
        found = await self.store.lookup(JobWithRuns(job.id))
        assert found is not None
        return found[0]

    async def runs(self, job: NewJob) -> list[Run]:
        found = await self.store.lookup(JobWithRuns(job.id))
        assert found is not None
        return found[1]

    async def run(self, job: NewJob, index: int = 0) -> Run:
        return (await self.runs(job))[index]

    async def attempts(self, job: NewJob, index: int = 0) -> list[Attempt]:
        return await self.store.lookup(AttemptsOfRun(job.runs[index].id))

    async def events(self, job: NewJob) -> list[Event]:
        return await self.store.lookup(EventsOfJob(job.id))

    async def ask(self, sql: str) -> list[dict[str, Any]]:
        return await self.store.scan(Ask(sql))

    async def check_counters(self) -> None:
        """The counters of jobs and of tenants are what counting the rows gives."""
        rows = await self.ask("SELECT job_id, status, count(*) AS n FROM runs GROUP BY job_id, status")
        counted = {(row["job_id"], row["status"]): row["n"] for row in rows}
        columns = ", ".join(f"n_{status}" for status in Status)
        jobs = await self.ask(f"SELECT id, tenant, state, {columns} FROM jobs")
        for job in jobs:
            for status in Status:
                assert job[f"n_{status}"] == counted.get((job["id"], status.value), 0), (job, status)
        rows = await self.ask("SELECT tenant, state, n FROM job_counts WHERE n <> 0")
        by_state = Counter((job["tenant"], job["state"]) for job in jobs)
        assert {(row["tenant"], row["state"]): row["n"] for row in rows} == by_state


def holding(lease: Lease, done: int = 0, total: int = 0, phase: str = "") -> Holding:
    """What a heartbeat says of a lease."""
    return Holding(lease.run_id, lease.fence, done, total, phase)
