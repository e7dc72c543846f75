"""All feeds of a server process: whoever watches the same shares one."""

from __future__ import annotations

from assay.model.errors import TooManyWatchers
from assay.server.streams.jobs import JobFeed, JobReaders
from assay.server.streams.tenants import Tail, TenantFeed
from assay.store.base import Store


class Streams:
    """Where watchers find their feeds. `limit`: most of them at once; below 0: any number."""

    def __init__(self, store: Store, limit: int = -1) -> None:
        self._limit = limit
        self._jobs = JobReaders(store)
        self._tail = Tail(store)
        self.watchers = 0
        """How many there are."""

    def of_job(self, job_id: str) -> JobFeed:
        """Return the feed of a job."""
        return JobFeed(self._jobs, job_id)

    def of_tenant(self, tenant: str) -> TenantFeed:
        """Return the feed of all jobs of a tenant."""
        return TenantFeed(self._tail, tenant)

    def enter(self) -> None:
        """Count one more watcher; whoever calls this calls `leave` in the end. Raises TooManyWatchers."""
        if 0 <= self._limit <= self.watchers:
            raise TooManyWatchers(limit=self._limit)
        self.watchers += 1

    def leave(self) -> None:
        """Count one watcher less."""
        self.watchers -= 1
