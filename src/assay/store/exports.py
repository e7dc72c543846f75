"""Evaluation cards in the outbox: put there with the end of their job, and again when the job changes afterwards.

What became of a card is kept with its job, so a card that has arrived, or has been given up, leaves the outbox.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from assay.model.exports import COMPLETED, PENDING, UNDER_WAY, Export
from assay.store.base import Signal, Steps, job_topic, run
from assay.store.history import event, record
from assay.store.outbox import OUTBOX, Parcel, held
from assay.store.rows import encode, listed

_exports = msgspec.json.Decoder(dict[str, Export])


def schedule(job_id: str, exports: bytes, now: int) -> Steps[bytes]:
    """Put the cards of a job that has ended, or changed since, into the outbox; return what its row says of them now."""
    kept = {
        target: msgspec.structs.replace(export, state=PENDING, message=UNDER_WAY)
        for target, export in _exports.decode(exports).items()
    }
    for target in kept:
        yield run("put_card", job_id=job_id, target=target, now=now)
    yield [Signal(OUTBOX)]
    return encode(kept)


@dataclass(frozen=True)
class EndExport:
    """Write how an attempt to export a card went; False when that is out of date. `retry_at` None: there is no other."""

    parcel: Parcel
    outcome: Export
    now: int
    retry_at: int | None = None

    def steps(self) -> Steps[bool]:
        parcel, job_id, target = self.parcel, self.parcel.job_id, self.parcel.target
        jobs = yield run("jobs_to_change", ids=listed([job_id]))
        if not jobs or not (yield from held(parcel)):
            return False
        kept = _exports.decode(jobs[0]["exports"]) | {target: self.outcome}
        yield run("set_job_exports", id=job_id, exports=encode(kept))
        message = self.outcome.message.message
        if self.retry_at is not None:
            yield run("postpone_parcel", number=parcel.number, due_at=self.retry_at, status=0, message=message)
        else:
            yield run("drop_parcel", number=parcel.number)
            type_ = "job.card_exported" if self.outcome.state == COMPLETED else "job.card_not_exported"
            yield from record([event(job_id, "", self.now, type_, {"target": target, "message": message})])
        yield [Signal(job_topic(job_id))]
        return True
