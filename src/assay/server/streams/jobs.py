"""The feeds of single jobs: the history, and how far the runs are. One reader for each job that is watched."""

from __future__ import annotations

import asyncio
import logging

from assay.model.errors import AssayError
from assay.model.states import TERMINAL_JOBS
from assay.server.streams import frames
from assay.server.streams.channel import Channel, dismiss
from assay.server.streams.feeds import BREATH_S, KEEPALIVE_S, PAGE, RETRY_S, Page
from assay.server.streams.frames import Batch, Frame, KeepAlive
from assay.server.streams.watcher import Watcher
from assay.store.base import Store, job_topic
from assay.store.history import JobSince, Progress, Since

log = logging.getLogger(__name__)

_PROGRESS_S = 0.2
"""Progress is told at most so often."""


class JobReader:
    """Reads what is new of one job, from the event `told` on, until it has ended or nobody watches any more."""

    def __init__(self, store: Store, job_id: str, told: int) -> None:
        self._store, self._job_id = store, job_id
        self.told = told
        """The number of the last event that was told."""
        self.channel = Channel()
        self.done = False
        """Whether there is nothing more to tell."""
        self._progress: dict[str, Progress] = {}
        self._standing: dict[str, Frame] = {}
        """The frame of the progress that each run was last said to have made."""
        self._progress_at = 0.0
        self._task = asyncio.create_task(self._read())

    def standing(self) -> Batch | None:
        """Return the progress that was last told."""
        return Batch(list(self._standing.values())) if self._standing else None

    def stop(self) -> None:
        """Read no more."""
        self._task.cancel()

    async def _read(self) -> None:
        try:
            while not self.done:
                await self._look()
        except Exception:
            log.exception("the events of job %s are not told", self._job_id)
        self.done = True
        dismiss(self.channel)

    async def _look(self) -> None:
        """Tell what is new, then wait until more may be."""
        ticket = self._store.signals.ticket([job_topic(self._job_id)])
        try:
            try:
                since = await self._store.lookup(JobSince(self._job_id, self.told, PAGE))
            except AssayError:  # the store will answer again; meanwhile nothing is lost
                await asyncio.sleep(RETRY_S)
                return
            page = page_of(self._job_id, since, self.told)
            fresh, wait_s = self._fresh_progress(since)
            self.told = page.position
            if page.end is not None:
                self.done = True
                await self.channel.tell(Batch([*page.frames, page.end], final=True))
                return
            if page.frames or fresh:
                await self.channel.tell(Batch([*page.frames, *fresh]))
            self.done = self._store.signals.closed
            if not page.more and not self.done:
                await asyncio.sleep(BREATH_S)
                if not await ticket.wait(wait_s) and wait_s == KEEPALIVE_S:
                    await self.channel.tell(KeepAlive())
        finally:
            ticket.drop()

    def _fresh_progress(self, since: Since | None) -> tuple[list[Frame], float]:
        """Return the frames of progress that is to be told, and how long to wait before that is looked at again."""
        current = {far.run_id: far for far in since.progress} if since else {}
        if current == self._progress:
            return [], KEEPALIVE_S
        now = asyncio.get_running_loop().time()
        if now < self._progress_at:
            return [], self._progress_at - now
        fresh = {
            run_id: frames.of_progress(self._job_id, far)
            for run_id, far in current.items()
            if self._progress.get(run_id) != far
        }
        kept = {run_id: frame for run_id, frame in self._standing.items() if run_id in current}
        self._progress, self._standing, self._progress_at = current, kept | fresh, now + _PROGRESS_S
        return list(fresh.values()), KEEPALIVE_S


class JobReaders:
    """The readers of the jobs that are watched."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._of_job: dict[str, JobReader] = {}

    def join(self, job_id: str, watcher: Watcher) -> JobReader:
        """Have a watcher told of a job from now on; the first one sets a reader going."""
        reader = self._of_job.get(job_id)
        if reader is None or reader.done:
            reader = self._of_job[job_id] = JobReader(self.store, job_id, watcher.position)
        reader.channel.watchers.add(watcher)
        return reader

    def leave(self, job_id: str, reader: JobReader, watcher: Watcher) -> None:
        """Have the watcher told no more. With the last one the reader stops."""
        reader.channel.watchers.discard(watcher)
        if not reader.channel.watchers:
            reader.stop()
            if self._of_job.get(job_id) is reader:
                del self._of_job[job_id]


class JobFeed:
    """The feed of one job, for one watcher."""

    def __init__(self, readers: JobReaders, job_id: str) -> None:
        self._readers, self._job_id = readers, job_id
        self._reader: JobReader | None = None

    async def page(self, after: int) -> Page:
        """Read the history after the event `after`."""
        return page_of(self._job_id, await self._readers.store.lookup(JobSince(self._job_id, after, PAGE)), after)

    def join(self, watcher: Watcher) -> int:
        """Tell the watcher from now on. Return the number of the last event that it was too late for."""
        self._reader = self._readers.join(self._job_id, watcher)
        return self._reader.told

    def standing(self) -> Batch | None:
        """Return how far the runs are, as it was last told."""
        return self._reader.standing() if self._reader else None

    def leave(self, watcher: Watcher) -> None:
        """Tell the watcher no more."""
        if self._reader is not None:
            self._readers.leave(self._job_id, self._reader, watcher)


def page_of(job_id: str, since: Since | None, after: int) -> Page:
    """Return what is new of a job as a page; None: it is gone."""
    if since is None:
        return Page([], after, False, frames.deleted(job_id))
    more = len(since.events) >= PAGE
    end = frames.ended(job_id, since.state) if since.state in TERMINAL_JOBS and not more else None
    position = since.events[-1].seq if since.events else after
    return Page([frames.of_event(event) for event in since.events], position, more, end)
