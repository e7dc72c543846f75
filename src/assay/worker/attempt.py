"""One attempt: a folder of its own, its ways out, its engine, and the report of how it ended."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from assay.artifacts.disk import is_full
from assay.client.workers import Refused, ServerGone
from assay.engines.base import Assignment, Doors, Executor, Progress
from assay.gateway import (
    CallbackRoute,
    CredentialError,
    MlflowRoute,
    ModelRoute,
    OpenRun,
    RouteError,
    RunRoute,
)
from assay.gateway.credentials import Credential, resolve
from assay.model.protocol import FENCE_HEADER, RUN_HEADER, ArtifactRef, Ending, Holding, Lease
from assay.model.submission import http_url
from assay.runtimes.guards import NoGuard
from assay.telemetry.redaction import Redactor
from assay.worker import folders, machine
from assay.worker.beginning import Beginning
from assay.worker.files import FileChanged
from assay.worker.logship import LogShip
from assay.worker.place import Place

log = logging.getLogger(__name__)

End = Callable[[str, Ending], Awaitable[None]]


class Attempt:
    """One run in this worker's hands. `end` tells the server how it ended; it raises Refused and ServerGone."""

    def __init__(self, place: Place, lease: Lease, executor: Executor | None, end: End, gpus: tuple[str, ...] = ()) -> None:
        self.lease, self.gpus = lease, gpus
        self._place, self._end = place, end
        self._executor = executor
        self._progress = Progress()
        self._stop = asyncio.Event()
        self._dropped = False
        self._stalled = False
        self._over = False
        self._beginning = Beginning(lease.run_id, self._tell_start)
        self._laid_out = ""
        self._folder = place.runs_dir / f"{lease.run_id}.{lease.attempt}"

    @property
    def progress(self) -> Progress:
        """How far the attempt is."""
        return self._progress

    @property
    def folder(self) -> Path:
        """The attempt's own folder; there while it runs."""
        return self._folder

    @property
    def dropped(self) -> bool:
        """Whether its lease is known to be lost."""
        return self._dropped

    @property
    def over(self) -> bool:
        """Whether nothing of it is left but to say how it ended: its slot and its GPUs are free."""
        return self._over

    def holding(self) -> Holding:
        """What the heartbeat says of it."""
        p = self._progress
        return Holding(self.lease.run_id, self.lease.fence, p.done, p.total, p.phase)

    def stop(self, *, drop: bool = False) -> None:
        """End it at once. `drop`: the lease is lost, so say nothing about how it ended."""
        self._dropped |= drop
        self._stop.set()

    async def carry_out(self) -> None:
        """Carry the attempt out and report its end; leaves nothing behind."""
        lease, place = self.lease, self._place
        redactor = Redactor([place.key])
        ship = LogShip(place.api, lease.run_id, lease.fence, redactor, place.max_log_bytes)
        try:
            ending = await self._carry_out(redactor, ship)
        except (CredentialError, RouteError) as error:
            ending = failed(
                lease, "credential_missing" if isinstance(error, CredentialError) else "bad_model_url", str(error)
            )
            ship.line(str(error))
        except FileChanged as error:
            ending = failed(lease, "dataset_changed", str(error))
            ship.line(str(error))
        except NoGuard as error:
            text = f"The worker could not start a process for the run: {error.strerror}."
            ending = failed(lease, "worker_error", text, temporary=True)
            log.warning("run %s: %s", lease.run_id, error.strerror)
        except OSError as error:
            where = error.filename or place.runs_dir
            text = f"The worker could not prepare the run: {error.strerror or error} ({where}). Mend that and submit again."
            full = is_full(error)  # another worker may have room, and this one later
            ending = failed(lease, "worker_error", text, temporary=full)
            log.error("run %s could not be prepared: %s", lease.run_id, error, exc_info=not full)
        except (Refused, ServerGone) as error:
            log.warning("run %s: its artifacts could not be brought to the server: %s", lease.run_id, error)
            ending = failed(lease, "worker_error", f"The run's artifacts could not be brought to the server: {error}")
        except Exception as error:
            log.exception("run %s failed in the worker", lease.run_id)
            text = redactor.text(f"The worker failed: {type(error).__name__}. Its log says more.")
            ending = failed(lease, "worker_error", text)
        if self._laid_out:
            place.files.release(self._laid_out)
        await ship.close()
        await self._beginning.over()
        ending = msgspec.structs.replace(ending, message=redactor.text(ending.message))
        reporting = asyncio.create_task(self._report(ending))
        await asyncio.sleep(0)  # the call is under way, and the folder goes meanwhile
        if not folders.leave_small(self._folder, place.keep_folders_s):
            await asyncio.to_thread(folders.leave, self._folder, place.keep_folders_s)
        await reporting

    async def _carry_out(self, redactor: Redactor, ship: LogShip) -> Ending:
        lease, place = self.lease, self._place
        if self._executor is None:
            text = f"This worker has no engine '{lease.plan.engine}'. Run `assay engines install {lease.plan.engine}` on it."
            return failed(lease, "engine_not_installed", text)
        credential = resolve(lease.context.secret_ref, place.secrets_dir, os.environ) if lease.context.secret_ref else None
        if credential and credential.value:
            redactor.add(credential.value)
        self._folder.mkdir(parents=True, mode=0o700)
        files = await self._files(self._executor)
        if self._stop.is_set():
            return Ending(fence=lease.fence, outcome="released", code="stopped", message="The run was stopped.")
        opened = place.gateway.open(self._route(credential))
        redactor.add(opened.token)
        if lease.context.experiment_name and place.mlflow is None:
            ship.line("This worker has no setting mlflow_tracking_uri, so the run itself cannot write to its experiment.")
        assignment = Assignment(
            lease=lease,
            folder=self._folder,
            doors=Doors(
                model_url=opened.model_url or "",
                callback_url=opened.base_url,
                token=opened.token,
                usage=lambda: msgspec.to_builtins(opened.usage),
                mlflow_url=opened.mlflow_url or "",
                mlflow_workspace=lease.context.experiment_workspace if opened.mlflow_url else "",
            ),
            progress=self._progress,
            started=self._beginning.begin,
            log=ship.write,
            upload=self._upload,
            stop=self._stop,
            marker=self._marker(),
            devices=machine.environment(self.gpus, place.has_gpus),
            files=files,
        )
        stale_s = lease.context.stale_s
        watching = asyncio.create_task(self._watch(opened, ship, stale_s)) if stale_s else None
        try:
            ending = await self._executor.execute(assignment)
            ship.flush()
            if self._stalled:
                text = f"The run showed no sign of life for {stale_s:g} seconds. Raise stale_seconds if it needs longer."
                return failed(lease, "run_stalled", text, exit_code=ending.exit_code)
            if ending.outcome == "exited" and ship.tail:
                ending = msgspec.structs.replace(ending, message=f"{ending.message} Last lines:\n{ship.tail}")
            return ending
        finally:
            if watching:
                watching.cancel()
            opened.close()

    async def _files(self, executor: Executor) -> Path | None:
        """Return the folder where the run starts, with the files of its plan's snapshot; None for a plan without one.

        None also when told to stop meanwhile.
        """
        place, digest = self._place, self.lease.plan.snapshot
        if not digest:
            return None
        self._progress.update(0, 0, "loading_data")
        own = None if executor.only_reads_files else self._folder / "files"
        laying = asyncio.create_task(place.files.lay_out(place.api, digest, own))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((laying, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not laying.done():
                return None
            folder = laying.result()
            self._laid_out = digest
        finally:
            self._progress.phase = ""  # from now on the engine or the adapter says which it is
            for task in (laying, stopping):
                task.cancel()
            await asyncio.gather(laying, stopping, return_exceptions=True)
        return folder / self.lease.context.locations.get("start", "")

    async def _watch(self, opened: OpenRun, ship: LogShip, stale_s: float) -> None:
        """Stop the attempt once nothing has come of it for `stale_s` seconds: no output, no call, no progress."""
        loop = asyncio.get_running_loop()
        seen, since = None, loop.time()
        while loop.time() - since < stale_s:
            signs = (ship.chunks, opened.calls, self._progress.done, self._progress.phase)
            if signs != seen:
                seen, since = signs, loop.time()
            await asyncio.sleep(min(stale_s / 4, 1.0))
        self._stalled = True
        self._stop.set()

    def _route(self, credential: Credential | None) -> RunRoute:
        lease, place = self.lease, self._place
        url, context = lease.plan.model.url, lease.context
        tracked = bool(context.experiment_name)
        headers = {"Authorization": f"Bearer {place.key}", FENCE_HEADER: str(lease.fence), RUN_HEADER: lease.run_id}
        return RunRoute(
            run_id=lease.run_id,
            attempt=lease.attempt,
            model=ModelRoute(url=url, credential=credential) if http_url(url) else None,
            callback=CallbackRoute(url=place.server, headers=headers, job_id=lease.job_id, news=self._beginning),
            mlflow=MlflowRoute(place.mlflow, context.experiment_workspace) if tracked and place.mlflow else None,
        )

    def _marker(self) -> Mapping[str, str]:
        name, _, value = self._place.marker.partition("=")
        return {name: value, "ASSAY_ATTEMPT": f"{self.lease.run_id}:{self.lease.attempt}"}

    async def _tell_start(self) -> bool:
        try:
            async with asyncio.timeout(self._place.lease_s / 3):
                await self._place.api.start(self.lease.run_id, self.lease.fence)
        except Refused as refusal:
            if refusal.status == 409:
                self.stop(drop=refusal.code == "unknown_worker")
        except (ServerGone, TimeoutError):
            log.warning("the server does not answer; run %s goes on under its lease", self.lease.run_id)
            return False
        return True

    async def _upload(self, name: str, path: Path, media_type: str) -> ArtifactRef:
        """Store an artifact; go on trying until told to stop: the result must not be lost with the server."""
        pause = 0.1
        while True:
            try:
                return await self._place.api.put_artifact(self.lease.run_id, self.lease.fence, name, path, media_type)
            except ServerGone:
                if self._stop.is_set():
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

    async def _report(self, ending: Ending) -> None:
        """Bring the end to the server; go on trying for as long as the lease can last."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self._place.lease_s * 2, 0.1
        while not self._dropped:
            try:
                self._over = True  # its slot is asked for in the same breath
                more = {"job_id": self.lease.job_id, "started_ms": self._beginning.ago_ms()}
                await self._end(self.lease.run_id, msgspec.structs.replace(ending, **more))
                return
            except Refused as refusal:
                if refusal.status != 409:
                    log.error("the server refused the end of run %s: %s", self.lease.run_id, refusal)
                    if ending.outcome != "failed":
                        ending = failed(self.lease, refusal.code or "report_refused", f"The result was refused: {refusal}")
                        continue
                return
            except ServerGone:
                if loop.time() > deadline:
                    return
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)


def failed(lease: Lease, code: str, message: str, **more: Any) -> Ending:
    """Return the ending of an attempt that failed."""
    return Ending(fence=lease.fence, outcome="failed", code=code, message=message, **more)
