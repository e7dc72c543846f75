"""A server, and workers that share no disk with it: each is an `assay worker` with a data folder of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from assay.config import data_dir, engines_dir

from .deployment import Deployment, wait_until

KEY = "key-of-the-workers-of-this-test"


class RemoteWorker:
    """`assay worker` as another machine would start it."""

    def __init__(
        self,
        server: Deployment,
        data: Path,
        *arguments: str,
        wrapper: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name, self.data, self._server = data.name, data, server
        self.log = data.with_name(data.name + ".log")
        command = [sys.executable, "-m", "assay", "worker", "--server", server.url, "--name", self.name]
        given = {"ASSAY_WORKER_KEY": KEY, "ASSAY_DATA": str(data), "ASSAY_ENGINES_DIR": str(engines_dir(data_dir()))} | (
            environment or {}
        )
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*wrapper, *command, *arguments], stdout=log, stderr=log, env=os.environ | given, start_new_session=True
            )

    def document(self) -> dict[str, Any]:
        """Return what the server says of it; empty before it has registered."""
        status, answer = self._server.request("GET", f"/api/v1/workers/{self.name}")
        return dict(answer) if status == 200 else {}

    def registered(self) -> RemoteWorker:
        """Wait until the server knows it."""
        wait_until(lambda: self.document().get("alive") or self.process.poll() is not None, 60, f"{self.name}: {self.log}")
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        return self

    def direct(self, verb: str) -> None:
        """Drain, pause or resume it."""
        status, answer = self._server.request("POST", f"/api/v1/workers/{self.name}/{verb}", {})
        assert status == 200, answer

    def holds(self) -> int:
        """Return how many runs it holds."""
        return int(self.document().get("held", 0))

    def end(self) -> None:
        """End it, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
