"""The history of jobs: how events are appended to it, and questions about what has happened, in order, and since.

Events are numbered over all jobs. Those of one job become visible in the order of their numbers, in both databases. Those of
different jobs do on SQLite alone: servers on one PostgreSQL commit in any order, so who reads across jobs reads up to
`Store.horizon`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from assay.model.records import Event
from assay.model.results import Report
from assay.model.states import JobState
from assay.store.base import EVENTS, Signal, Steps, job_topic, run, run_many
from assay.store.rows import encode, event_of

_report = msgspec.json.Decoder(Report)


def event(job_id: str, run_id: str, now: int, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return an event as the parameters of `insert_event`; `run_id` empty: it is about the job."""
    return {"job_id": job_id, "run_id": run_id, "at": now, "type": kind, "data": encode(data)}


def record(events: Sequence[dict[str, Any]]) -> Steps[None]:
    """Append events to the histories of their jobs, in order, and wake those who follow them."""
    if not events:
        return
    yield run_many("insert_event", events)
    yield [Signal(EVENTS), *(Signal(job_topic(job_id)) for job_id in dict.fromkeys(one["job_id"] for one in events))]


class Progress(NamedTuple):
    """How far a run is that runs: samples done of all (0 of 0: unknown), and the phase that it is in."""

    run_id: str
    benchmark_index: int
    done: int
    total: int
    phase: str


class Since(NamedTuple):
    """What is new of a job after some event, and how it stands, all at one moment."""

    tenant: str
    state: JobState
    events: list[Event]
    progress: list[Progress]


@dataclass(frozen=True)
class EventsOfJob:
    """Up to `limit` events of a job with a sequence number above `after`, in order."""

    job_id: str
    after: int = 0
    limit: int = 100

    def steps(self) -> Steps[list[Event]]:
        rows = yield run("events_of_job", job_id=self.job_id, after=self.after, limit=self.limit)
        return [event_of(row) for row in rows]


@dataclass(frozen=True)
class JobSince:
    """What is new of a job since the event `after`, up to `limit` events of it; None for a job that is not there."""

    job_id: str
    after: int
    limit: int

    def steps(self) -> Steps[Since | None]:
        jobs = yield run("job_version", id=self.job_id)
        if not jobs:
            return None
        events = yield from EventsOfJob(self.job_id, self.after, self.limit).steps()
        progress = [
            Progress(row["id"], row["idx"], row["done"], row["total"], _report.decode(row["report"]).phase or "")
            for row in (yield run("progress_of_job", job_id=self.job_id))
        ]
        return Since(jobs[0]["tenant"], JobState(jobs[0]["state"]), events, progress)


@dataclass(frozen=True)
class EventsBetween:
    """Every event numbered above `after` and up to `until`, in order, each with the tenant of its job."""

    after: int
    until: int

    def steps(self) -> Steps[list[tuple[str, Event]]]:
        rows = yield run("events_between", after=self.after, until=self.until)
        found = []
        for row in rows:
            values = dict(row)
            found.append((values.pop("tenant"), event_of(values)))
        return found


@dataclass(frozen=True)
class LastEvent:
    """The highest number that an event has been given; 0 before the first. Its event may not be visible yet."""

    def steps(self) -> Steps[int]:
        rows = yield run("last_event")
        return rows[0]["seq"] if rows else 0
