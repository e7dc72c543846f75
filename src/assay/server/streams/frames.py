"""What is told to watchers, encoded once for all of them.

An event of the history has its sequence number as id, so that a watcher can go on after it. Progress has none: it is not
kept, and whoever comes back is told how things stand then.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from assay.model.records import Event
from assay.model.states import JobState
from assay.scheduler.identifiers import rfc3339
from assay.store.history import Progress

_encode = msgspec.json.Encoder().encode


class Frame:
    """One message: as JSON, and as a server-sent event. `seq` 0: it is not of the history."""

    __slots__ = ("json", "seq", "sse")

    def __init__(self, kind: str, body: Any, seq: int = 0) -> None:
        self.seq = seq
        self.json: Final[bytes] = _encode(body)
        head = b"id: %d\n" % seq if seq else b""
        self.sse: Final[bytes] = b"%sevent: %s\ndata: %s\n\n" % (head, kind.encode(), self.json)


def item_of(event: Event) -> dict[str, Any]:
    """Return an event as users see it, in pages of the history and live."""
    return {
        "seq": event.seq,
        "at": rfc3339(event.at),
        "type": event.type,
        "data": event.data,
        "job_id": event.job_id,
    } | ({"run_id": event.run_id} if event.run_id else {})


def of_event(event: Event) -> Frame:
    """Return the frame of an event of the history."""
    return Frame(event.type, item_of(event), event.seq)


def of_progress(job_id: str, far: Progress) -> Frame:
    """Return the frame that says how far a run is."""
    data = {"benchmark_index": far.benchmark_index, "done": far.done, "total": far.total, "phase": far.phase}
    return Frame("run.progress", {"type": "run.progress", "data": data, "job_id": job_id, "run_id": far.run_id})


def ended(job_id: str, state: JobState) -> Frame:
    """Return the last frame of the stream of a job that has ended."""
    return Frame("end", {"type": "end", "data": {"reason": "ended", "state": state}, "job_id": job_id})


def deleted(job_id: str) -> Frame:
    """Return the last frame of the stream of a job that is no more."""
    return Frame("end", {"type": "end", "data": {"reason": "deleted"}, "job_id": job_id})


class Batch:
    """Frames that are told together, in order. `last`: the frames are followed by the end of the stream."""

    def __init__(self, frames: Sequence[Frame], *, final: bool = False) -> None:
        self.frames = tuple(frames)
        self.final = final
        numbers = [frame.seq for frame in frames if frame.seq]
        self.first, self.last = (numbers[0], numbers[-1]) if numbers else (0, 0)
        self.sse = b"".join(frame.sse for frame in frames)
        self.size = len(self.sse)

    @cached_property
    def texts(self) -> list[str]:
        """The frames as texts of JSON."""
        return [frame.json.decode() for frame in self.frames]

    def after(self, seq: int) -> Batch:
        """Return what of it is new to somebody who has seen the history up to `seq`."""
        if not self.first or self.first > seq:
            return self
        return Batch([frame for frame in self.frames if not 0 < frame.seq <= seq], final=self.final)


class KeepAlive(Batch):
    """Says nothing: it shows everybody on the way that the connection is in use."""

    def __init__(self) -> None:
        super().__init__([Frame("keepalive", {"type": "keepalive"})])
        self.sse = b": keepalive\n\n"
