"""A server that keeps its runs in memory and writes down what a worker does, and an engine that waits for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from assay.client.workers import WorkerApi
from assay.engines.base import Assignment
from assay.gateway import Gateway
from assay.model.placement import Resources
from assay.model.plan import Context, Model, Plan
from assay.model.protocol import Ending, Gpu, Lease, LeaseAnswer, LeaseRequest
from assay.model.states import WorkerState
from assay.worker.files import FileCache
from assay.worker.leasing import Leasing
from assay.worker.place import Place
from assay.worker.slots import Slots


def lease(number: int, gpus: int = 0) -> Lease:
    """A run of the engine `fake`."""
    resources = Resources(gpus=gpus) if gpus else None
    plan = Plan(kind="evaluation", provider_id="p", benchmark_id="b", engine="fake", model=Model("m"), resources=resources)
    return Lease(run_id=f"run-{number}", job_id="job", index=0, attempt=1, fence=1, plan=plan, context=Context())


class FakeServer:
    """Hands out what is in `queue`; a call that finds nothing waits until something is put there."""

    def __init__(self, *queue: Lease) -> None:
        self.queue = list(queue)
        self.state = WorkerState.ACTIVE
        self.patience_s = 60.0
        """How long a call waits."""
        self.more = asyncio.Event()
        self.held: dict[str, Lease] = {}
        self.ended: dict[str, Ending] = {}
        self.started: list[str] = []
        self.most_held = 0
        self.most_gpus = 0
        self.leases: list[LeaseRequest] = []
        self.given_up = 0
        self.refusals: list[Exception] = []
        """What the next ends are answered with."""

    def give(self, free: int, gpus: int) -> list[Lease]:
        given: list[Lease] = []
        for one in list(self.queue) if self.state is WorkerState.ACTIVE else []:
            wanted = one.plan.resources.gpus if one.plan.resources else 0
            if len(given) < free and wanted <= gpus:
                gpus -= wanted
                given.append(one)
                self.queue.remove(one)
                self.held[one.run_id] = one
        self.most_held = max(self.most_held, len(self.held))
        return given

    async def lease(self, asked: LeaseRequest) -> LeaseAnswer:
        self.leases.append(asked)
        await asyncio.sleep(0.001)
        given: list[Lease] = []
        try:
            async with asyncio.timeout(self.patience_s):
                while not (given := self.give(asked.free, asked.gpus)):
                    self.more.clear()
                    await self.more.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return LeaseAnswer(leases=given, state=self.state)

    async def start(self, run_id: str, fence: int) -> None:
        self.started.append(run_id)

    async def end(self, run_id: str, ending: Ending) -> list[Lease]:
        await asyncio.sleep(0.001)
        if self.refusals:
            raise self.refusals.pop(0)
        self.ended[run_id] = ending
        self.held.pop(run_id, None)
        return self.give(ending.ask.free, ending.ask.gpus) if ending.ask else []

    async def append_log(self, run_id: str, fence: int, offset: int, data: bytes) -> int:
        return offset + len(data)


class FakeEngine:
    """Its runs take a moment, or as long as `hold` is not set."""

    name = "fake"
    version = "1"
    only_reads_files = True

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.hold = asyncio.Event()
        self.hold.set()
        self.running: set[str] = set()
        self.most = 0
        self.gpus: list[str] = []
        """Those that runs have at this moment."""

    def begin(self) -> None:
        pass

    async def execute(self, assignment: Assignment) -> Ending:
        await assignment.started()
        run_id = assignment.lease.run_id
        self.running.add(run_id)
        self.most = max(self.most, len(self.running))
        mine = [one for one in assignment.devices.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
        assert not set(mine) & set(self.gpus), "a GPU was given twice"
        self.gpus += mine
        stopping = asyncio.create_task(assignment.stop.wait())
        holding = asyncio.create_task(self.hold.wait())
        await asyncio.wait((stopping, holding), return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(self.seconds)
        for task in (stopping, holding):
            task.cancel()
        self.running.discard(run_id)
        self.gpus = [one for one in self.gpus if one not in mine]
        outcome = "released" if assignment.stop.is_set() else "completed"
        return Ending(fence=assignment.lease.fence, outcome=outcome)

    async def close(self) -> None:
        pass


@asynccontextmanager
async def place(server: FakeServer, folder: Path, **more: Any) -> AsyncIterator[Place]:
    """Where the attempts of a worker are carried out."""
    gateway = Gateway()
    await gateway.start()
    yield Place(
        api=cast(WorkerApi, server),
        gateway=gateway,
        server="http://127.0.0.1:9",
        key="the key of workers",
        runs_dir=folder / "runs",
        secrets_dir=folder / "secrets",
        marker="ASSAY_WORKER=w",
        max_log_bytes=1 << 20,
        keep_folders_s=0.0,
        lease_s=1.0,
        files=FileCache(folder / "cache", 1 << 20),
        has_gpus=True,
        **more,
    )
    await gateway.close()


@asynccontextmanager
async def leasing(
    server: FakeServer, engine: FakeEngine, folder: Path, slots: int = 2, gpus: int = 0
) -> AsyncIterator[tuple[Leasing, Slots, asyncio.Task[bool]]]:
    """A worker that asks the server for runs of the engine."""
    having = Slots(slots, [Gpu(str(number)) for number in range(gpus)])
    async with place(server, folder) as where:
        asking = Leasing(where, having, "w", "1", {"fake": engine})
        task = asyncio.create_task(asking.run())
        yield asking, having, task
        task.cancel()
        await having.end_all(5, drop=True, close=True)


async def until(server: FakeServer, ended: int) -> None:
    """Wait until so many runs have ended."""
    async with asyncio.timeout(30):
        while len(server.ended) < ended:
            await asyncio.sleep(0.001)
