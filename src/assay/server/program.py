"""`assay serve`: the API, recovery, and on one machine a worker as a child process."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import secrets
import sys
from typing import Any

from assay import listening
from assay.artifacts.blobs import BlobStore
from assay.config import Settings
from assay.model.errors import ExtraMissing, SettingInvalid, StoreUnusable
from assay.scheduler import catalogue, recovery
from assay.scheduler.offerings import Offerings
from assay.server.app import App
from assay.server.documents import Documents
from assay.server.embedded import EmbeddedWorker
from assay.server.logs import LogFiles
from assay.server.metrics import Metrics
from assay.server.services import Services
from assay.server.table import table
from assay.store.base import Store
from assay.store.sqlite import SqliteStore

log = logging.getLogger(__name__)


def serve(settings: Settings, *, worker: bool = True) -> None:
    """Serve until SIGINT or SIGTERM; print `assay ready on URL` once requests are answered.

    `worker`: start one worker as a child process, and again whenever it dies. Raises CannotListen, StoreUnusable,
    CatalogueInvalid before anything is started. End the process with `os._exit` afterwards (see `assay.listening`).
    """
    refuse_strangers(settings)
    entries = catalogue.load(settings.catalog)
    listener = listening.bind(settings.host, settings.port)
    with listener:
        asyncio.run(_serve(settings, entries, listener, worker))


async def _serve(settings: Settings, entries: catalogue.Catalogue, listener: Any, worker: bool) -> None:
    url = listening.url_of(listener)
    prepare(settings)
    store = await open_store(settings)
    at = Services(
        settings=settings,
        store=store,
        offerings=Offerings(entries, store),
        documents=Documents(),
        pages=Documents(8 << 20),
        logs=LogFiles(settings.data / "logs", settings.max_log_bytes),
        blobs=BlobStore(settings.data / "blobs"),
        metrics=Metrics(url),
        worker_key=os.environ.get("ASSAY_WORKER_KEY") or secrets.token_urlsafe(32),
    )
    store.changes.listen(at.metrics.transitions.told)
    tasks = [
        asyncio.create_task(recovery.watch(store, settings.lease_seconds)),
        asyncio.create_task(recovery.sweep(store, at.blobs)),
    ]
    embedded = EmbeddedWorker(settings, url, at.worker_key) if worker else None
    if embedded:
        keeping = asyncio.create_task(embedded.keep())
        tasks.append(keeping)

    async def stopping() -> None:
        if embedded:  # it gives its runs back, which the server must still take
            keeping.cancel()
            await embedded.stop()
        store.signals.close()

    serving = asyncio.create_task(listening.serve(App(table(), at), listener, stopping))
    sys.stdout.write(f"assay ready on {url}\n")
    sys.stdout.flush()
    try:
        await serving
    finally:
        if embedded:
            await embedded.stop()
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await store.close()


def refuse_strangers(settings: Settings) -> None:
    """Raise SettingInvalid for an address that others reach, unless the user has said that this is meant.

    Whoever reaches the server can start processes on its machine.
    """
    try:
        loopback = ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        loopback = settings.host == "localhost"
    if not loopback and not settings.open_access:
        problem = (
            "others can reach this address, and whoever does can start processes here. Listen on 127.0.0.1 behind a proxy "
            "that checks callers, or say that this is meant with --open-access"
        )
        raise SettingInvalid(name="host", origin=settings.origins["host"], problem=problem)


async def open_store(settings: Settings) -> Store:
    """Return the store that the settings ask for. Raises StoreUnusable, ExtraMissing."""
    if not settings.database:
        return SqliteStore(settings.data / "assay.db")
    try:
        from assay.store.postgres import PostgresStore
    except ImportError as error:
        raise ExtraMissing(feature="PostgreSQL", extra="pg") from error
    return await PostgresStore.open(settings.database)


def prepare(settings: Settings) -> None:
    """Make the data folder, readable by its owner alone. Raises StoreUnusable."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("logs", "blobs", "runs"):
            (settings.data / name).mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        remedy = "Give this user write access to it, or choose another folder with --data."
        raise StoreUnusable(path=settings.data, error=error.strerror or "no folder", remedy=remedy) from error
