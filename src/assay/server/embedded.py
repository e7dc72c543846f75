"""The worker that `assay serve` starts on its own machine: the ordinary `assay worker`, with a key of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import re
import signal
import sys
import time
from urllib.parse import urlsplit

from assay.config import SETTINGS, Settings
from assay.model.errors import AssayError
from assay.model.states import WorkerState
from assay.store.base import Store
from assay.store.leases import EndDrain
from assay.store.queries import Workers

log = logging.getLogger(__name__)

_NOT_FOR_WORKERS = {"ASSAY_DATABASE", "ASSAY_REDIS", "ASSAY_API_KEY"}
"""Variables of the server that may hold a secret."""
_STEADY_S = 10.0
_LONGEST_PAUSE_S = 10.0


class EmbeddedWorker:
    """Keeps one worker going. It ends itself when this process does: the read end of a pipe tells it."""

    def __init__(self, settings: Settings, store: Store, url: str, key: str) -> None:
        self._settings, self._store, self._url, self._key = settings, store, url, key
        self._process: asyncio.subprocess.Process | None = None

    async def keep(self) -> None:
        """Start the worker, and start it again whenever it ends undrained; wait longer when it keeps failing.

        A drain that an earlier server did not live to see the end of counts no more.
        """
        pause = 0.1
        with contextlib.suppress(AssayError):
            await self._store.apply(EndDrain(worker_name(self._settings, self._url)))
        while True:
            began = time.monotonic()
            try:
                ending = f"code {await self._run()}"
            except OSError as error:  # no memory, no processes, no descriptors left: that may pass
                ending = f"an error: {error.strerror}"
            if await self._drained():
                log.warning("the worker has been drained; it starts again with the server")
                return
            if time.monotonic() - began > _STEADY_S:
                pause = 0.1
            log.warning("the worker ended with %s; it is started again in %.1f s", ending, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def stop(self) -> None:
        """Ask the worker to end its runs and itself; insist after a few seconds."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 8)
            except TimeoutError:
                process.kill()

    async def _drained(self) -> bool:
        name = worker_name(self._settings, self._url)
        with contextlib.suppress(AssayError):
            return any(
                worker.name == name and worker.state is WorkerState.DRAINED for worker in await self._store.scan(Workers())
            )
        return False

    async def _run(self) -> int:
        settings = self._settings
        name = worker_name(settings, self._url)
        command = (sys.executable, "-m", "assay", "worker", "--server", self._url, "--name", name, "--parent-pipe")
        environment = {
            **{name: value for name, value in os.environ.items() if name not in _NOT_FOR_WORKERS},
            "ASSAY_WORKER_KEY": self._key,
            "ASSAY_DATA": str(settings.data),
            "ASSAY_SECRETS_DIR": str(settings.secrets_dir),
            "ASSAY_ENGINES_DIR": str(settings.engines_dir),
            "ASSAY_SLOTS": str(settings.slots),
            "ASSAY_MAX_LOG_BYTES": str(settings.max_log_bytes),
            "ASSAY_KEEP_FOLDERS_SECONDS": str(settings.keep_folders_seconds),
            "ASSAY_CACHE_BYTES": str(settings.cache_bytes),
            "ASSAY_RUN_TIMEOUT_SECONDS": str(settings.run_timeout_seconds),
            "ASSAY_LOG_LEVEL": settings.log_level,
            **_mlflow(settings),
        }
        # The worker reads its end of stdin: end of file means that this process is gone.
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=sys.stderr, env=environment, start_new_session=True
        )
        return await self._process.wait()


def worker_name(settings: Settings, url: str) -> str:
    """Return the name of the worker of the server at `url`.

    Servers that share a database must not call their workers the same; after a restart on the same port the worker has the
    same name, and what it held is queued again at once.
    """
    if not settings.database.startswith("postgres"):
        return "local"
    host = re.sub(r"[^A-Za-z0-9.-]|^[.-]+", "", platform.node())[:90] or "local"
    return f"{host}-{urlsplit(url).port}"


def _mlflow(settings: Settings) -> dict[str, str]:
    """Return the server's settings for MLflow as the worker's environment, since they may come from a file."""
    named = [setting for setting in SETTINGS if setting.name.startswith("mlflow_")]
    values = {setting.environment: settings.values[setting.name] for setting in named}
    return {variable: str(value) for variable, value in values.items() if value not in (None, "")}
