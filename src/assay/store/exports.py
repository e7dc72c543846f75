"""The outbox: evaluation cards on their way out.

A job's end and the outbox row of its card are written in one transaction, so a card is exported at least once whatever
crashes. Whoever takes a row holds it for a while, under a *fence*; when the job changes meanwhile the row gets another
fence, so that the outcome of the older card is dropped and the newer one is exported too.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from assay.model.exports import COMPLETED, PENDING, UNDER_WAY, Export
from assay.store.base import Signal, Steps, job_topic, run
from assay.store.rows import encode

EXPORTS = "exports"
"""Topic: a card is ready to be exported."""

LONGEST_PAUSE = 600_000_000
"""Most microseconds between two attempts to export a card."""

_exports = msgspec.json.Decoder(dict[str, Export])


def schedule(job_id: str, exports: bytes, now: int) -> Steps[bytes]:
    """Put the cards of a job that has ended, or changed since, into the outbox; return what its row says of them now."""
    kept = {
        target: msgspec.structs.replace(export, state=PENDING, message=UNDER_WAY)
        for target, export in _exports.decode(exports).items()
    }
    for target in kept:
        yield run("put_outbox", job_id=job_id, target=target, now=now)
    yield Signal(EXPORTS)
    return encode(kept)


@dataclass(frozen=True)
class Parcel:
    """A card to be exported: of which job, where to, the fence it is held under, and which attempt this is (from 1)."""

    job_id: str
    target: str
    fence: int
    attempt: int


@dataclass(frozen=True)
class NextExport:
    """When the next card is to be exported, or None."""

    def steps(self) -> Steps[int | None]:
        (row,) = yield run("next_export")
        return row["at"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class TakeExports:
    """Take up to `free` cards that are due, and hold them for `hold` microseconds."""

    free: int
    now: int
    hold: int

    def steps(self) -> Steps[list[Parcel]]:
        taken = []
        for row in (yield run("due_exports", now=self.now, free=self.free)):
            yield run("take_export", job_id=row["job_id"], target=row["target"], until=self.now + self.hold)
            taken.append(Parcel(row["job_id"], row["target"], row["fence"] + 1, row["attempts"] + 1))
        return taken


@dataclass(frozen=True)
class EndExport:
    """Write how an attempt to export a card went; False when that is out of date. `retry_at` None: there is no other."""

    parcel: Parcel
    outcome: Export
    now: int
    retry_at: int | None = None

    def steps(self) -> Steps[bool]:
        job_id, target = self.parcel.job_id, self.parcel.target
        jobs = yield run("job_to_change", id=job_id)
        held = yield run("open_export", job_id=job_id, target=target)
        if not jobs or not held or held[0]["fence"] != self.parcel.fence:
            return False
        kept = _exports.decode(jobs[0]["exports"]) | {target: self.outcome}
        yield run("set_job_exports", id=job_id, exports=encode(kept))
        if self.retry_at is not None:
            yield run("postpone_export", job_id=job_id, target=target, due_at=self.retry_at)
        else:
            yield run("drop_export", job_id=job_id, target=target)
            type_ = "job.card_exported" if self.outcome.state == COMPLETED else "job.card_not_exported"
            data = encode({"target": target, "message": self.outcome.message.message})
            yield run("insert_event", job_id=job_id, run_id="", at=self.now, type=type_, data=data)
        yield Signal(job_topic(job_id))
        return True


@dataclass(frozen=True)
class ReleaseExports:
    """Make everything in the outbox due now: for the only server of a store, which has just started."""

    now: int

    def steps(self) -> Steps[None]:
        yield run("release_exports", now=self.now)
