"""What need not be kept any longer: jobs that ended long ago, and their events; workers that have long been silent.

A job is never touched while it is open, nor while a card of it is in the outbox; that is looked at again in the transaction
that deletes. `before` is a time in microseconds: what ended, or was changed last, before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from assay.model.ids import first_id
from assay.model.states import TERMINAL_JOBS
from assay.store.base import Steps, run
from assay.store.jobs import DeleteJob
from assay.store.rows import encode

BATCH = 50
"""Jobs that are looked at, or deleted, at once."""
EVENTS = 1000
"""Events that are deleted in one transaction."""

_ENDED = encode(sorted(TERMINAL_JOBS)).decode()


@dataclass(frozen=True)
class EndedJobs:
    """Up to `BATCH` jobs of a tenant that ended before a time, oldest first, after the id `after`."""

    tenant: str
    before: int
    after: str = ""

    def after_id(self, after: str) -> EndedJobs:
        """Return the question after the next ones."""
        return replace(self, after=after)

    def steps(self) -> Steps[tuple[str, ...]]:
        found: list[str] = []
        for state in TERMINAL_JOBS:
            rows = yield run(
                "ended_jobs",
                tenant=self.tenant,
                state=state,
                before=self.before,
                newest=first_id(self.before / 1e6),
                after=self.after,
                limit=BATCH,
            )
            found += [row["id"] for row in rows]
        return tuple(sorted(found)[:BATCH])


@dataclass(frozen=True)
class JobsWithEvents:
    """Up to `BATCH` jobs that ended before a time and still have events, oldest first, after the id `after`."""

    before: int
    after: str = ""

    def after_id(self, after: str) -> JobsWithEvents:
        """Return the question after the next ones."""
        return replace(self, after=after)

    def steps(self) -> Steps[tuple[str, ...]]:
        rows = yield run(
            "ended_jobs_with_events",
            before=self.before,
            newest=first_id(self.before / 1e6),
            after=self.after,
            states=_ENDED,
            limit=BATCH,
        )
        return tuple(row["id"] for row in rows)


@dataclass(frozen=True)
class EndedAmong:
    """Those of these ids that are a job's that ended before a time, and how many events they have together."""

    ids: tuple[str, ...]
    before: int

    def steps(self) -> Steps[tuple[set[str], int]]:
        rows = yield run("ended_among", ids=encode(self.ids).decode(), before=self.before, states=_ENDED)
        ended = {row["id"] for row in rows}
        (counted,) = yield run("count_events", ids=encode(sorted(ended)).decode())
        return ended, counted["n"]


@dataclass(frozen=True)
class ExpireJob:
    """Delete a job that ended before a time; say whether it is gone, or None while it has too many events for that."""

    job_id: str
    before: int
    now: int

    def steps(self) -> Steps[bool | None]:
        yield run("runs_to_cancel", job_id=self.job_id)  # locked before the job, as whoever ends a run does
        rows = yield run("ended_among", ids=encode([self.job_id]).decode(), before=self.before, states=_ENDED)
        if not rows:
            return False
        if len((yield run("some_events", job_id=self.job_id, limit=EVENTS + 1))) > EVENTS:
            return None
        yield from DeleteJob(self.job_id, None, self.now).steps()
        return True


@dataclass(frozen=True)
class DropEvents:
    """Delete up to `EVENTS` of the oldest events of a job that ended before a time; return how many."""

    job_id: str
    before: int

    def steps(self) -> Steps[int]:
        rows = yield run("ended_among", ids=encode([self.job_id]).decode(), before=self.before, states=_ENDED)
        if not rows:
            return 0
        return len((yield run("drop_events", job_id=self.job_id, limit=EVENTS)))


@dataclass(frozen=True)
class SilentWorkers:
    """The workers that hold nothing and were last heard of before a time, by name."""

    before: int

    def steps(self) -> Steps[tuple[str, ...]]:
        return tuple(row["name"] for row in (yield run("silent_workers", before=self.before)))


@dataclass(frozen=True)
class ForgetSilent:
    """Forget those workers, and what they were told; return their names. One that returns after all registers anew."""

    before: int

    def steps(self) -> Steps[tuple[str, ...]]:
        return tuple(row["name"] for row in (yield run("forget_silent", before=self.before)))
