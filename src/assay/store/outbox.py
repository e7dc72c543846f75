"""The outbox: what is to leave, written in the transaction of the change that it tells of, so it leaves at least once
whatever crashes.

A parcel's *target* is who gets it: a registry, MLflow, a webhook, a message broker. Whoever takes a parcel holds it for a
while, under a *fence*; when the time is over, or the parcel has been put in anew, an older holder's outcome is dropped.

The parcels of one job for one target are a *lane*: only the first open one has a time at which it is due, and with its end
the next gets one. On PostgreSQL both whoever puts a parcel in and whoever ends one hold the job's row, so that no parcel is
left behind another that has just gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.store.base import Row, Signal, Steps, run

OUTBOX = "outbox"
"""Topic: a parcel is ready to leave."""

LONGEST_PAUSE = 3_600_000_000
"""Most microseconds between two attempts to send a parcel."""

CARD = "card"
DELIVERED = "delivered"
FAILED = "failed"
_OPEN_END = (1 << 62) - 1


@dataclass(frozen=True)
class Parcel:
    """Something to be sent: of which kind, where to, about which job; the fence it is held under, and which attempt this is
    (from 1). `content` is JSON, empty for cards, which are made when they leave."""

    number: int
    kind: str
    target: str
    job_id: str
    key: str
    content: bytes
    fence: int
    attempt: int
    created_at: int


@dataclass(frozen=True)
class Outcome:
    """How an attempt went. `status` is the HTTP status of the answer, 0 for none; `retry_at` when it is tried again."""

    delivered: bool
    status: int = 0
    message: str = ""
    retry_at: int | None = None


@dataclass(frozen=True)
class NextParcel:
    """When the next parcel is due, or None."""

    def steps(self) -> Steps[int | None]:
        (row,) = yield run("next_parcel")
        return row["at"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class DueParcels:
    """Up to `each` parcels of every target that are due, longest due first, as they are before anybody has taken them."""

    now: int
    each: int

    def steps(self) -> Steps[list[Parcel]]:
        return [
            Parcel(
                row["number"],
                row["kind"],
                row["target"],
                row["job_id"],
                row["key"],
                row["content"],
                row["fence"],
                row["attempts"],
                row["created_at"],
            )
            for row in (yield run("due_parcels", now=self.now, each=self.each))
        ]


@dataclass(frozen=True)
class TakeParcels:
    """Hold parcels that are due, each for its number of microseconds; return those that nobody else was quicker to take."""

    wanted: Sequence[tuple[Parcel, int]]
    now: int

    def steps(self) -> Steps[list[Parcel]]:
        taken = []
        for parcel, hold in sorted(self.wanted, key=lambda one: one[0].number):
            until = self.now + hold
            if (yield run("take_parcel", number=parcel.number, fence=parcel.fence, now=self.now, until=until)):
                fence, attempt = parcel.fence + 1, parcel.attempt + 1
                taken.append(
                    Parcel(
                        parcel.number,
                        parcel.kind,
                        parcel.target,
                        parcel.job_id,
                        parcel.key,
                        parcel.content,
                        fence,
                        attempt,
                        parcel.created_at,
                    )
                )
        return taken


def held(parcel: Parcel) -> Steps[bool]:
    """Say whether a parcel is still held under its fence; keep it from others for this transaction."""
    rows = yield run("open_parcel", number=parcel.number)
    return bool(rows) and rows[0]["fence"] == parcel.fence


@dataclass(frozen=True)
class EndParcel:
    """Write how an attempt to deliver a notice went; False when that is out of date."""

    parcel: Parcel
    outcome: Outcome
    now: int

    def steps(self) -> Steps[bool]:
        parcel, outcome = self.parcel, self.outcome
        yield run("lock_job", id=parcel.job_id)
        if not (yield from held(parcel)):
            return False
        told = {"number": parcel.number, "status": outcome.status, "message": outcome.message}
        if outcome.retry_at is not None:
            yield run("postpone_parcel", due_at=outcome.retry_at, **told)
            return True
        yield run("end_parcel", now=self.now, outcome=DELIVERED if outcome.delivered else FAILED, **told)
        yield run("next_of_lane", target=parcel.target, job_id=parcel.job_id, now=self.now)
        yield [Signal(OUTBOX)]
        return True


@dataclass(frozen=True)
class DropParcel:
    """Forget a parcel that is held under its fence: nobody is there any more who would want it."""

    parcel: Parcel

    def steps(self) -> Steps[None]:
        if (yield from held(self.parcel)):
            yield run("drop_parcel", number=self.parcel.number)


@dataclass(frozen=True)
class ReleaseParcels:
    """Make everything that waits for its time due now: for the only server of a store, which has just started."""

    now: int

    def steps(self) -> Steps[None]:
        yield run("release_parcels", now=self.now)


@dataclass(frozen=True)
class PruneTarget:
    """Forget all but the last `kept` notices of a target that were delivered, and as many that were given up."""

    target: str
    kept: int

    def steps(self) -> Steps[None]:
        for outcome in (DELIVERED, FAILED):
            yield run("prune_target", target=self.target, outcome=outcome, kept=self.kept)


@dataclass(frozen=True)
class ParcelsOfTarget:
    """The last `limit` parcels of a target with a number below `before` (0: no matter), newest first, whatever became of
    them.
    """

    target: str
    limit: int
    before: int = 0

    def steps(self) -> Steps[list[Row]]:
        before = self.before or _OPEN_END
        return (yield run("parcels_of_target", target=self.target, before=before, limit=self.limit))
