"""`assay serve`: the API, recovery, and on one machine a worker as a child process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from assay import eventloop, listening
from assay.artifacts.blobs import BlobStore
from assay.artifacts.log_folders import LogFolders
from assay.backup.data_folder import served
from assay.config import Settings
from assay.config.masking import differing
from assay.config.values import MEMORY
from assay.model.errors import AssayError, ExtraMissing, SettingInvalid, StoreUnusable
from assay.notify.outward import OutwardResolver
from assay.scheduler import recovery, shared_clock
from assay.scheduler.carriers import carriers
from assay.scheduler.catalogue import Catalogue
from assay.scheduler.catalogue_watch import CatalogueWatch
from assay.scheduler.durations import Durations
from assay.scheduler.inputs import Inputs
from assay.scheduler.offerings import Offerings
from assay.scheduler.outbox import Outbox
from assay.scheduler.quota_file import QuotaFile
from assay.scheduler.retention import Policy, Retention
from assay.server.access.bans import Bans
from assay.server.access.gate import FIRST_KEY, Gate, Rules
from assay.server.access.keyring import Keyring
from assay.server.access.limits import Limiter, MemoryLimiter
from assay.server.access.roles import roles_of
from assay.server.documents import Documents, Pages
from assay.server.doors import Listeners, bound, doors
from assay.server.embedded import EmbeddedWorker
from assay.server.logs import LogFiles
from assay.server.metrics import Metrics
from assay.server.pulse import Pulse
from assay.server.services import Services
from assay.server.storage import Storage
from assay.server.streams import Streams
from assay.store.base import Store
from assay.store.keys import AnyKey
from assay.store.sqlite import SqliteStore

if TYPE_CHECKING:  # its library is an extra
    from assay.redis import Redis

log = logging.getLogger(__name__)

_INSIST_S = 5.0
"""Time for what a task of the server still has to write down when it is stopped."""
_TURN_S = 0.0005
"""How long a thread that reads a large body may go on before the event loop gets its turn. A request takes several turns."""


def serve(settings: Settings, *, worker: bool = True) -> None:
    """Serve until SIGINT or SIGTERM; print `assay ready on URL` once requests are answered.

    `worker`: start one worker as a child process, and again whenever it dies. Raises CannotListen, StoreUnusable,
    CatalogueInvalid, SettingInvalid before anything is started. End the process with `os._exit` afterwards (see
    `assay.listening`).
    """
    roles_of(settings)
    sys.setswitchinterval(_TURN_S)
    watch = CatalogueWatch(settings.catalog)
    entries = watch.read()
    quotas = QuotaFile(settings.quotas)
    with bound(settings) as listeners, _data_folder(settings) as kept:
        log.info("settings: %s", differing(settings))
        for note in settings.notes:
            log.warning("%s", note)
        prepare(kept)
        with served(kept.data):
            eventloop.run(_serve(kept, entries, watch, quotas, listeners, worker))


@contextlib.contextmanager
def _data_folder(settings: Settings) -> Iterator[Settings]:
    """Give the settings of a database in memory a data folder that goes with it.

    Not the ordinary one: logs and artifacts belong to the jobs of one database, and what no job names is swept away.
    """
    if settings.database != MEMORY:
        yield settings
        return
    log.warning("jobs are kept in memory (%s): they are lost when the server stops", settings.origins["database"])
    with tempfile.TemporaryDirectory(prefix="assay-", ignore_cleanup_errors=True) as folder:
        yield settings.changed(data=Path(folder), secrets=settings.secrets_dir)


async def _serve(
    settings: Settings,
    entries: Catalogue,
    watch: CatalogueWatch,
    quotas: QuotaFile,
    listeners: Listeners,
    worker: bool,
) -> None:
    redis = open_redis(settings)
    store = await open_store(settings, redis)
    try:
        await refuse_strangers(settings, store)
    except AssayError:
        await store.close()
        raise
    await shared_clock.measure(store)
    worker_key = os.environ.get("ASSAY_WORKER_KEY") or secrets.token_urlsafe(32)
    keyring = Keyring(store, roles_of(settings))
    limiter = limiter_of(settings, redis, store.identity)
    bans = bans_of(settings, redis, store.identity)
    gate = Gate(Rules.of(settings), keyring, limiter, bans, worker_key)
    folders, blobs = LogFolders(settings.data), BlobStore(settings.data / "blobs")
    at = Services(
        settings=settings,
        store=store,
        offerings=Offerings(entries, store),
        documents=Documents(),
        pages=Pages(8 << 20),
        logs=LogFiles(folders, settings.max_log_bytes),
        blobs=blobs,
        inputs=Inputs(store, blobs),
        streams=Streams(store, settings.max_watchers),
        storage=Storage(store, settings.data),
        retention=Retention(store, folders, Policy.of(settings)),
        quotas=quotas,
        durations=Durations(),
        metrics=Metrics(listeners.url, redis),
        pulse=Pulse(store, redis),
        redis=redis,
        keyring=keyring,
        outward=OutwardResolver(settings.webhook_networks),
    )
    store.changes.listen(at.metrics.transitions.told)
    store.changes.listen(at.durations.told)
    tasks = [
        asyncio.create_task(shared_clock.follow(store)),
        asyncio.create_task(recovery.watch(store, settings.lease_seconds, settings.grace_seconds)),
        asyncio.create_task(recovery.sweep(store, at.inputs, folders)),
        asyncio.create_task(at.retention.keep_up()),
        asyncio.create_task(watch.follow(at.offerings)),
        asyncio.create_task(quotas.follow()),
        asyncio.create_task(Outbox(store, carriers(store, settings, redis)).empty()),
        asyncio.create_task(keyring.note_used()),
        asyncio.create_task(gate.stays.watch()),
    ]
    embedded = EmbeddedWorker(settings, store, listeners.worker_url, worker_key) if worker else None
    if embedded:
        keeping = asyncio.create_task(embedded.keep())
        tasks.append(keeping)

    async def stopping() -> None:
        if embedded:  # it gives its runs back, which the server must still take
            keeping.cancel()
            await embedded.stop()
        store.signals.close()

    if listeners.metrics_url:
        log.info("metrics are on %s", listeners.metrics_url)
    serving = asyncio.create_task(listening.serve_all(doors(listeners, at, gate), stopping))
    sys.stdout.write(f"assay ready on {listeners.url}\n")
    sys.stdout.flush()
    try:
        await serving
    finally:
        if embedded:
            await embedded.stop()
        for task in tasks:
            await eventloop.end(task, _INSIST_S)
        await bans.close()
        if limiter:
            await limiter.close()
        await store.close()
        if redis:
            await redis.close()


def limiter_of(settings: Settings, redis: Redis | None = None, identity: str = "") -> Limiter | None:
    """Return what counts calls, together with the other servers on the database `identity`; None where no rate is set."""
    rates = settings.rate_limits.in_force(settings.on_loopback)
    if not rates:
        return None
    if redis is None or not identity:
        return MemoryLimiter(rates)
    from assay.server.access.shared_limits import SharedLimiter

    return SharedLimiter(redis, identity, rates)


def bans_of(settings: Settings, redis: Redis | None = None, identity: str = "") -> Bans:
    """Return what counts wrong keys, together with the other servers on the database `identity`."""
    terms = settings.ban_after, settings.ban_seconds, settings.ban_longest_seconds
    if redis is None or not identity:
        return Bans(*terms)
    from assay.server.access.shared_bans import SharedBans

    return SharedBans(redis, identity, *terms)


async def refuse_strangers(settings: Settings, store: Store) -> None:
    """Raise SettingInvalid for an address that others reach while there is no API key, unless the user has said that this
    is meant.

    Whoever reaches such a server can start processes on its machine.
    """
    if not (settings.on_loopback or settings.open_access or await store.lookup(AnyKey())):
        problem = (
            "others can reach this address, and there is no API key yet to tell who may do what. Make the first one with "
            f"`{FIRST_KEY}` (and the same --data or --database), or listen on 127.0.0.1 "
            "behind a proxy that checks callers, or say with --open-access that everybody may do everything here"
        )
        raise SettingInvalid(name="host", origin=settings.origins["host"], problem=problem)
    if settings.require_keys and not await store.lookup(AnyKey()):
        log.warning("keys are required, and there is none yet: make one with `%s`", FIRST_KEY)


async def open_store(settings: Settings, redis: Redis | None = None) -> Store:
    """Return the store that the settings ask for; servers that share it wake one another through `redis` too.

    Raises StoreUnusable, ExtraMissing.
    """
    database: str = settings.database
    if database == MEMORY:
        return SqliteStore.temporary()
    if not database or database.startswith("file:"):
        return SqliteStore(settings.database_file)
    try:
        from assay.store.postgres import PostgresStore
    except ImportError as error:
        raise ExtraMissing(feature="PostgreSQL", extra="pg") from error
    return await PostgresStore.open(settings.database, redis)


def open_redis(settings: Settings) -> Redis | None:
    """Return the connection to the Redis that the settings name, which may still be away; None for none.

    Raises ExtraMissing, SettingInvalid.
    """
    if not settings.redis:
        if settings.redis_channel:
            problem = "it needs the setting redis, the URL of the Redis to publish on"
            raise SettingInvalid(name="redis_channel", origin=settings.origins["redis_channel"], problem=problem)
        return None
    try:
        from assay.redis import Redis
    except ImportError as error:
        raise ExtraMissing(feature="Redis", extra="redis") from error
    return Redis(settings.redis, settings.origins["redis"])


def prepare(settings: Settings) -> None:
    """Make the data folder, and a database file outside of it, readable by their owner alone. Raises StoreUnusable."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("logs", "blobs", "runs"):
            (settings.data / name).mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        remedy = "Give this user write access to it, or choose another folder with --data."
        raise StoreUnusable(path=settings.data, error=error.strerror or "no folder", remedy=remedy) from error
    if settings.database.startswith("file:"):
        _make_private(settings.database_file)


def _make_private(database: Path) -> None:
    """Make a database file that is not there yet; in a folder of others only its owner may read it. Raises StoreUnusable."""
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        remedy = "Give this user write access to it, or name another file with --database."
        raise StoreUnusable(path=database, error=error.strerror or "it cannot be opened", remedy=remedy) from error
