"""`assay worker`: registers with a server, keeps its slots busy, and stops what it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assay import __version__, eventloop, parent
from assay.client.workers import Refused, ServerGone, WorkerApi
from assay.engines.base import Executor, Site
from assay.engines.registry import executors
from assay.gateway import Gateway, MlflowServer
from assay.model.errors import BadRequest, ProtocolMismatch
from assay.model.placement import problem
from assay.model.protocol import PROTOCOL, Heartbeat, Registered, Registration
from assay.model.states import WorkerState
from assay.runtimes import tree
from assay.runtimes.guards import Guards
from assay.worker import folders, machine
from assay.worker.claim import check_name, claim
from assay.worker.files import FileCache
from assay.worker.leasing import Leasing
from assay.worker.place import Place
from assay.worker.slots import Slots

log = logging.getLogger(__name__)

_STOP_S = 5.0
_SWEEP_S = 60.0
_LOOK_S = 3.0
"""Between two looks for engines that have been installed."""
_REFUSALS = 3
"""Registrations in a row that may be worth nothing before their lease is over."""
_PATIENCE_S = 2.0
_PATIENCE_WITH_ORPHAN_S = 20.0
"""With an earlier worker of the same name that is about to end: the one of a killed server ends its runs first."""
_LEAVE_S = 2.0
"""Patience with the server when the worker takes its leave; one that was drained has as much as a lease lasts."""


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker is started. `parent_pipe`: end when standard input does, because the server that started it is gone."""

    server: str
    name: str
    key: str = field(repr=False)
    data: Path
    secrets_dir: Path
    engines_dir: Path
    slots: int
    max_log_bytes: int
    keep_folders_s: float
    run_timeout_s: float
    cache_bytes: int
    """Most bytes of files of runs that are kept for later ones."""
    parent_pipe: bool = False
    mlflow: MlflowServer | None = None
    gpus: int | None = None
    """How many to offer to runs, None for all that are found."""
    labels: Mapping[str, str] = field(default_factory=dict)


def work(options: WorkerOptions) -> None:
    """Work until SIGINT or SIGTERM, or until it is drained.

    Raises BadRequest when the server does not take the key, the name is no name or another's, the data folder cannot be
    written, no Assay server of the same protocol answers at the address, or a label or the number of GPUs cannot be.
    """
    check_name(options.name)
    if wrong := problem(options.labels):
        raise BadRequest(error=f"--label: {wrong}")
    eventloop.run(_Worker(options).run())


class _Worker:
    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._incarnation = secrets.token_hex(8)
        self._marker = f"ASSAY_WORKER={options.name}@{options.data.resolve()}"
        self._runs_dir = options.data / "runs" / options.name
        self._hosts_dir = options.data / "hosts" / options.name
        self._files = FileCache(options.data / "cache" / options.name, options.cache_bytes)
        self._stopping = asyncio.Event()
        self._orphaned = False
        self._executors: dict[str, Executor] = {}
        self._leasing: Leasing | None = None
        self._lease_s = _LEAVE_S
        self._gpus = machine.gpus(options.gpus)
        self._slots = Slots(options.slots, self._gpus)

    async def run(self) -> None:
        """Register, then lease and beat until told to stop."""
        options = self._options
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        if options.parent_pipe:
            parent.watch(lambda: loop.call_soon_threadsafe(self._server_gone))
        patience_s = _PATIENCE_WITH_ORPHAN_S if options.parent_pipe else _PATIENCE_S
        with await claim(options.data, options.name, patience_s):
            await self._work()

    def _server_gone(self) -> None:
        self._orphaned = True
        self._stopping.set()

    async def _work(self) -> None:
        options = self._options
        killed = await asyncio.to_thread(tree.end_worker, self._marker)
        if killed:
            log.warning("ended %d processes that an earlier worker left behind", killed)
        await asyncio.to_thread(shutil.rmtree, self._hosts_dir, ignore_errors=True)
        await asyncio.to_thread(folders.sweep, self._runs_dir, options.keep_folders_s)
        guards = Guards(self._marker)
        limits = (options.max_log_bytes, options.run_timeout_s)
        site = Site(options.engines_dir, self._hosts_dir, *limits, self._marker, guards)
        await self._find_engines(site)
        gateway = Gateway()
        await gateway.start()
        sweeping = asyncio.create_task(self._sweep())
        async with WorkerApi(options.server, options.key, options.name) as api:
            looking = asyncio.create_task(self._announce_engines(api, site))
            try:
                await self._serve(api, gateway)
            finally:
                sweeping.cancel()
                await eventloop.end(looking)
                await self._slots.end_all(_STOP_S, drop=self._orphaned, close=True)
                for executor in self._executors.values():
                    await executor.close()
                await guards.close()
                await gateway.close()
                await asyncio.to_thread(tree.end_worker, self._marker)
            if not self._orphaned:
                await self._take_leave(api)

    async def _find_engines(self, site: Site) -> bool:
        """Take into use the engines that have been installed since the last look; say whether there are any."""
        new = await asyncio.to_thread(executors, site, self._executors.keys())
        for executor in new.values():
            executor.begin()
        self._executors |= new
        return bool(new)

    async def _announce_engines(self, api: WorkerApi, site: Site) -> None:
        """Tell the server of engines that are installed while this worker works, for ever."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                if await self._find_engines(site):
                    await api.register(self._registration())
                    log.info("engines: %s", ", ".join(sorted(self._executors)))
            except (OSError, ServerGone, Refused) as error:
                log.warning("engines that were installed meanwhile are announced with the next registration: %s", error)

    async def _sweep(self) -> None:
        """Delete the folders of runs that have been kept for long enough, for ever."""
        keep_s = self._options.keep_folders_s
        while keep_s:
            await asyncio.sleep(min(keep_s / 2, _SWEEP_S))
            busy = {attempt.folder for attempt in self._slots.attempts}
            await asyncio.to_thread(folders.sweep, self._runs_dir, keep_s, busy)

    async def _serve(self, api: WorkerApi, gateway: Gateway) -> None:
        loop, refusals = asyncio.get_running_loop(), 0
        while not self._stopping.is_set():
            terms = await self._register(api)
            if terms is None:
                return
            self._lease_s = terms.lease_s
            registered = loop.time()
            place = self._place(api, gateway, terms)
            leasing = Leasing(place, self._slots, self._options.name, self._incarnation, self._executors)
            leasing.direct(terms.state)
            self._leasing = leasing
            tasks = [asyncio.create_task(self._lease(leasing)), asyncio.create_task(self._beat(api, terms, leasing))]
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in (*tasks, stopping):
                await eventloop.end(task)
                if not task.cancelled():
                    task.result()
            if not self._stopping.is_set():
                # The server has given our runs to somebody else: whatever we still do is worth nothing.
                await self._slots.end_all(_STOP_S, drop=True)
                self._incarnation = secrets.token_hex(8)
                refusals = refusals + 1 if loop.time() - registered < terms.lease_s else 0
                if refusals > _REFUSALS:
                    problem = f"The server registers the worker '{self._options.name}' and then refuses it"
                    raise BadRequest(error=f"{problem}: another has the same name. Give each its own with --name.")

    def _place(self, api: WorkerApi, gateway: Gateway, terms: Registered) -> Place:
        options = self._options
        return Place(
            api=api,
            gateway=gateway,
            server=options.server,
            key=options.key,
            runs_dir=self._runs_dir,
            secrets_dir=options.secrets_dir,
            marker=self._marker,
            max_log_bytes=options.max_log_bytes,
            files=self._files,
            has_gpus=bool(self._gpus),
            keep_folders_s=options.keep_folders_s,
            lease_s=terms.lease_s,
            mlflow=options.mlflow,
        )

    async def _register(self, api: WorkerApi) -> Registered | None:
        """Register, however long the server takes to come up; None when told to stop meanwhile."""
        pause = 0.05
        while not self._stopping.is_set():
            try:
                terms = await api.register(self._registration())
            except Refused as refusal:
                if refusal.status in (401, 403):
                    raise BadRequest(error=f"{self._options.server} does not take this worker: {refusal}") from refusal
                if refusal.code == ProtocolMismatch.code:
                    raise BadRequest(error=str(refusal)) from refusal
                problem = f"{self._options.server} does not take this worker: it answers {refusal.status}"
                remedy = "Check that --server is the URL of an Assay server of the same version."
                raise BadRequest(error=f"{problem} ({str(refusal).strip()}). {remedy}") from refusal
            except ServerGone:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
                pause = min(pause * 2, 2.0)
            else:
                if terms.protocol != PROTOCOL:
                    ours = f"This worker (Assay {__version__}) speaks version {PROTOCOL} of the workers' protocol"
                    theirs = f"the server at {self._options.server} speaks {terms.protocol}"
                    raise BadRequest(error=f"{ours}, and {theirs}. Install the same version of Assay on both.")
                return terms
        return None

    def _registration(self) -> Registration:
        return Registration(
            name=self._options.name,
            incarnation=self._incarnation,
            slots=self._options.slots,
            engines={name: executor.version for name, executor in self._executors.items()},
            version=__version__,
            protocol=PROTOCOL,
            cpus=machine.cpus(),
            memory=machine.memory(),
            gpus=self._gpus,
            labels=dict(self._options.labels),
        )

    async def _lease(self, leasing: Leasing) -> None:
        """Keep the slots busy. Returns when the server does not know this worker any more, or it has been drained."""
        if await leasing.run():
            log.info("the worker has been drained and ends")
            self._stopping.set()

    async def _beat(self, api: WorkerApi, terms: Registered, leasing: Leasing) -> None:
        """Renew the leases. Returns when the server does not know this worker, or was silent for a whole lease."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                # Not `wait_for`, which overlooks that this task is cancelled when it has just got what it waited for.
                async with asyncio.timeout(terms.heartbeat_s):
                    await leasing.told.wait()
            leasing.told.clear()
            held = [attempt for attempt in self._slots.attempts if not attempt.dropped]
            beat = Heartbeat(self._incarnation, [attempt.holding() for attempt in held])
            try:
                async with asyncio.timeout(terms.lease_s / 3):
                    answer = await api.heartbeat(beat)
                heard = loop.time()
            except (ServerGone, TimeoutError):
                if loop.time() - heard > terms.lease_s:
                    log.error("the server has been silent for a whole lease; its runs are given up")
                    return
                continue
            except Refused as refusal:
                log.warning("the server refused a heartbeat: %s", refusal)
                return
            for attempt in held:
                if attempt.lease.run_id in answer.stop:
                    attempt.stop()
            leasing.direct(answer.state)

    async def _take_leave(self, api: WorkerApi) -> None:
        """Say that this process ends, and with it what it was told to do: the next of its name begins anew."""
        drained = self._leasing is not None and self._leasing.state is WorkerState.DRAINING
        with contextlib.suppress(TimeoutError, Refused):
            async with asyncio.timeout(self._lease_s if drained else _LEAVE_S):
                while True:
                    try:
                        await api.heartbeat(Heartbeat(self._incarnation, [], ends=True))
                    except ServerGone:
                        await asyncio.sleep(0.5)
                    else:
                        return
