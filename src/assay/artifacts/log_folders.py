"""The folders of logs: one for each job, named by its id. What is in them is the server's affair (`server.logs`)."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from assay.artifacts.holding import deleting


class LogFolders:
    """The logs in a data folder, by job."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.root = data / "logs"

    def jobs(self) -> list[str]:
        """Return the ids of the jobs that have logs here, oldest first."""
        try:
            return sorted(os.listdir(self.root))
        except FileNotFoundError:
            return []

    def size(self, job_id: str) -> int:
        """Return the bytes of a job's logs."""
        total = 0
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.root / job_id) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    total += entry.stat().st_size
        return total

    def remove(self, job_ids: Iterable[str]) -> int:
        """Delete the logs of jobs; return of how many. While a backup copies them they stay, and go with a later sweep."""
        dropped = 0
        with deleting(self._data) as free:
            for job_id in job_ids if free else ():
                if (self.root / job_id).is_dir():
                    shutil.rmtree(self.root / job_id, ignore_errors=True)
                    dropped += 1
        return dropped
