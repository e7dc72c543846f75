"""What keeps a worker from carrying a run out is told; what may pass has the run tried again."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from assay.engines.base import Assignment
from assay.model.protocol import Ending
from assay.runtimes.guards import NoGuard

from .fake_server import FakeEngine, FakeServer, lease, leasing, until


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Failing(FakeEngine):
    """An engine that cannot begin."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def execute(self, assignment: Assignment) -> Ending:
        raise self.error


@pytest.mark.parametrize(
    ("error", "again", "told"),
    [
        (NoGuard(errno.EAGAIN, "no process can be started now"), True, "no process can be started now"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/runs/file"), True, "No space left on device (/runs/file)"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/runs/file"), False, "Permission denied (/runs/file)"),
        (ValueError("the key of workers"), False, "ValueError"),
    ],
)
async def test_a_run_is_tried_again_after_what_may_pass(tmp_path: Path, error: Exception, again: bool, told: str) -> None:
    server = FakeServer(lease(0))
    async with leasing(server, Failing(error), tmp_path, slots=1):
        await until(server, 1)
    ending = server.ended["run-0"]
    assert (ending.outcome, ending.code, ending.temporary) == ("failed", "worker_error", again)
    assert told in ending.message
    assert "the key of workers" not in ending.message
    assert not list((tmp_path / "runs").iterdir())
