"""The outbox is emptied: cards of jobs that have ended go to MLflow and to registries, however often it takes.

Nobody waits for this: a job's last report has been answered by then. What became of a card is kept with its job.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from assay.config import Settings
from assay.exports import docker_config, oci
from assay.exports.mlflow import Mlflow
from assay.exports.remote import Remote, RemoteFailed
from assay.gateway import MlflowServer
from assay.model.errors import AssayError
from assay.model.exports import COMPLETED, FAILED, MLFLOW, Export
from assay.model.records import Job, Run
from assay.model.results import Message
from assay.model.states import JobState
from assay.scheduler.cards import NAME, card, figures
from assay.scheduler.identifiers import now
from assay.store.base import Store
from assay.store.exports import EXPORTS, LONGEST_PAUSE, EndExport, NextExport, Parcel, ReleaseExports, TakeExports
from assay.store.queries import JobWithRuns

log = logging.getLogger(__name__)

_AT_ONCE = 4
_TRY_S = 240.0
"""Longest time of one attempt; a card is held a little longer, so that no two servers export it at once."""
_ATTEMPTS = 100
"""With the pauses between them: about 15 hours."""
_ENDINGS = {JobState.COMPLETED: "FINISHED", JobState.CANCELLED: "KILLED"}
_CARD = "application/vnd.eval-hub.evaluation-card.v1+json"
_CONFIG = "application/vnd.oci.artifact.config.v1+json"
_TITLE = "org.opencontainers.image.title"


class Outbox:
    """Sends the cards in a store's outbox. `pause_s` says how long to wait after the n-th attempt that failed."""

    def __init__(self, store: Store, settings: Settings, pause_s: Callable[[int], float] | None = None) -> None:
        self._store, self._settings = store, settings
        self._pause_s = pause_s or (lambda attempt: min(2.0 ** (attempt - 1), LONGEST_PAUSE / 1_000_000))
        self._busy: set[asyncio.Task[None]] = set()

    async def empty(self, period_s: float = 1.0) -> None:
        """Send what is due, for ever."""
        try:
            if self._store.generation is not None:  # no other server has a part of this outbox in its hands
                await self._store.apply(ReleaseExports(now()))
            while True:
                ticket = self._store.signals.ticket([EXPORTS])
                try:
                    await self._take()
                except AssayError as error:
                    log.error("evaluation cards wait: %s", error.message)
                except Exception:  # whatever it is: without this loop no card would ever leave
                    log.exception("evaluation cards wait")
                await ticket.wait(period_s)
                if self._store.signals.closed:
                    await asyncio.sleep(period_s)
        finally:
            for task in self._busy:
                task.cancel()
            await asyncio.gather(*self._busy, return_exceptions=True)

    async def _take(self) -> None:
        free = _AT_ONCE - len(self._busy)
        due = await self._store.lookup(NextExport()) if free else None
        if due is None or due > now():
            return
        hold = round((_TRY_S + 30) * 1_000_000)
        for parcel in await self._store.apply(TakeExports(free, now(), hold)):
            task = asyncio.create_task(self._send(parcel))
            self._busy.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self._store.signals.announce([EXPORTS])

    async def _send(self, parcel: Parcel) -> None:
        """Send one card and write how that went. One that is interrupted is sent again when its time is over."""
        retry_at = None
        try:
            async with asyncio.timeout(_TRY_S):
                outcome = await self._export(parcel)
        except Exception as error:
            outcome, retry_at = self._postponed(parcel, error)
        if outcome is None:
            return
        with contextlib.suppress(AssayError):  # the store is away; the card is held until its time is over
            await self._store.apply(EndExport(parcel, outcome, now(), retry_at))

    def _postponed(self, parcel: Parcel, error: Exception) -> tuple[Export, int | None]:
        """Return what the job says of a card that could not be exported, and when it is tried again."""
        if isinstance(error, RemoteFailed):
            text = str(error)
        elif isinstance(error, TimeoutError):
            text = f"it took longer than {_TRY_S:g} s"
        else:
            log.exception("the card of job %s could not be exported", parcel.job_id)
            text = "the server's log says why"
        given_up = parcel.attempt >= _ATTEMPTS or (isinstance(error, RemoteFailed) and error.lasting)
        if given_up:
            log.error("the card of job %s is not exported to %s: %s", parcel.job_id, parcel.target, text)
            return Export(state=FAILED, message=_message(f"The evaluation card was not exported: {text}", "failed")), None
        log.warning("the card of job %s waits for %s: %s", parcel.job_id, parcel.target, text)
        told = _message(f"Attempt {parcel.attempt} to export the evaluation card failed, another follows: {text}", "pending")
        return Export(message=told), now() + round(self._pause_s(parcel.attempt) * 1_000_000)

    async def _export(self, parcel: Parcel) -> Export | None:
        found = await self._store.lookup(JobWithRuns(parcel.job_id))
        if found is None:
            return None
        if parcel.target == MLFLOW:
            return await self._to_mlflow(*found)
        return await self._to_registry(*found)

    async def _to_mlflow(self, job: Job, runs: list[Run]) -> Export:
        """Store the card as an artifact of an MLflow run, which also gets the figures, for charts and comparisons."""
        server = MlflowServer.of(self._settings)
        if server is None:
            raise RemoteFailed("the setting mlflow_tracking_uri is empty")
        began_ms, ended_ms = job.created_at // 1000, job.updated_at // 1000
        model = msgspec.json.decode(job.spec)["model"]
        told = {"model_name": model["name"], "model_url": model.get("url", "")}
        params = [{"key": key, "value": value[:500]} for key, value in told.items() if value]
        measured = [{"key": key, "value": value, "timestamp": ended_ms, "step": 0} for key, value in figures(runs).items()]
        async with Mlflow(server, job.tenant) as mlflow:
            tags = {"evaluation_job_id": job.id, "context": "eval-hub"}
            run = await mlflow.run_of(job.experiment_id, tags, job.name, began_ms)
            await mlflow.log(run["run_id"], "params", params)
            await mlflow.log(run["run_id"], "metrics", measured)
            await mlflow.put_artifact(run, NAME, msgspec.json.encode(card(job, runs)))
            await mlflow.end(run["run_id"], _ENDINGS.get(job.state, "FAILED"), ended_ms)
        return Export(state=COMPLETED, message=_EXPORTED, reference=run["run_id"])

    async def _to_registry(self, job: Job, runs: list[Run]) -> Export:
        settings = self._settings
        asked = msgspec.json.decode(job.spec)["exports"]["oci"]
        coordinates = asked["coordinates"]
        host = coordinates["oci_host"]
        file = docker_config.find(
            settings.secrets_dir, asked.get("k8s", {}).get("connection", ""), settings.oci_auth_config_file
        )
        login = await asyncio.to_thread(docker_config.login, file, host.partition("://")[2] or host)
        tag = f"{coordinates.get('oci_tag') or 'evaluation-card'}-{job.id}"
        config, layer = _blobs(job, card(job, runs))
        annotations = {**coordinates.get("annotations", {}), "evaluation_job_id": job.id, _TITLE: tag}
        timeout_s = settings.oci_http_timeout_seconds or 30.0
        async with Remote("the registry", ca_cert=settings.oci_ca_cert_file, timeout_s=timeout_s) as remote:
            repository = oci.Repository(remote, host, coordinates["oci_repository"], login)
            pushed = await repository.push(tag, config, [layer], annotations)
        return Export(state=COMPLETED, message=_EXPORTED, reference=pushed.reference, digest=pushed.digest)


def _blobs(job: Job, content: dict[str, Any]) -> tuple[oci.Blob, oci.Blob]:
    """Return the config and the layer of a card's artifact."""
    name = f"evaluation-card-{job.id}"
    about = {"evaluation_job_id": job.id}
    config = oci.Blob(msgspec.json.encode(about), _CONFIG, about | {_TITLE: f"{name}-config.json"})
    return config, oci.Blob(msgspec.json.encode(content), _CARD, about | {_TITLE: f"{name}.json"})


def _message(text: str, outcome: str) -> Message:
    return Message(text, f"evaluation_card_{outcome}", "server")


_EXPORTED = _message("The evaluation card has been exported", "exported")
