"""Evaluation cards leave: those of jobs that have ended go to MLflow and to registries, however often it takes.

Nobody waits for this: a job's last report has been answered by then. What became of a card is kept with its job.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from assay.config import Settings
from assay.exports import docker_config, oci
from assay.exports.mlflow import Mlflow
from assay.exports.remote import Remote, RemoteFailed
from assay.gateway import MlflowServer
from assay.model.exports import COMPLETED, FAILED, MLFLOW, Export
from assay.model.records import Job, Run
from assay.model.results import Message
from assay.model.states import JobState
from assay.scheduler.cards import NAME, card, figures
from assay.store.base import Operation, Store
from assay.store.exports import EndExport
from assay.store.outbox import DropParcel, Parcel
from assay.store.queries import JobWithRuns

log = logging.getLogger(__name__)

_ATTEMPTS = 100
"""With the pauses between them: about 15 hours."""
_ENDINGS = {JobState.COMPLETED: "FINISHED", JobState.CANCELLED: "KILLED"}
_CARD = "application/vnd.eval-hub.evaluation-card.v1+json"
_CONFIG = "application/vnd.oci.artifact.config.v1+json"
_TITLE = "org.opencontainers.image.title"


class CardCarrier:
    """Exports cards, a few at once to each target."""

    slots = 4
    limit_s = 240.0
    longest_pause_s = 600.0

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings

    async def ready(self, parcels: list[Parcel]) -> list[Parcel]:
        """Return the parcels: a card can always be tried."""
        return parcels

    async def carry(self, parcel: Parcel, now: Callable[[], int]) -> Operation[Any]:
        """Export one card; return what writes that it has arrived. Raises RemoteFailed."""
        found = await self._store.lookup(JobWithRuns(parcel.job_id))
        if found is None:
            return DropParcel(parcel)
        to = self._to_mlflow if parcel.target == MLFLOW else self._to_registry
        return EndExport(parcel, await to(*found), now())

    def failed(self, parcel: Parcel, error: Exception, now: int, pause_s: float) -> Operation[Any]:
        """Return what writes that an attempt came to nothing, and when the next one is, if there is one."""
        if isinstance(error, RemoteFailed):
            text = str(error)
        elif isinstance(error, TimeoutError):
            text = f"it took longer than {self.limit_s:g} s"
        else:
            log.error("the card of job %s could not be exported", parcel.job_id, exc_info=error)
            text = "the server's log says why"
        given_up = parcel.attempt >= _ATTEMPTS or (isinstance(error, RemoteFailed) and error.lasting)
        if given_up:
            log.error("the card of job %s is not exported to %s: %s", parcel.job_id, parcel.target, text)
            told = _message(f"The evaluation card was not exported: {text}", "failed")
            return EndExport(parcel, Export(state=FAILED, message=told), now)
        log.warning("the card of job %s waits for %s: %s", parcel.job_id, parcel.target, text)
        told = _message(f"Attempt {parcel.attempt} to export the evaluation card failed, another follows: {text}", "pending")
        return EndExport(parcel, Export(message=told), now, now + round(pause_s * 1_000_000))

    async def close(self) -> None:
        """Do nothing: every attempt has connections of its own."""

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
