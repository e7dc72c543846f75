"""What the store has to do with clocks: which one counts, and what becomes of deadlines when it is put back.

Deadlines are times of day. Each is set a bounded while ahead, so one that is farther away was set by a clock that has been
put back since; left alone, it would keep a lost run leased, or a queued one waiting, for as long as the clock was wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

from assay.store.base import QUEUE, Signal, Steps, run
from assay.store.outbox import LONGEST_PAUSE, OUTBOX
from assay.store.runs import RETRY_DELAY


@dataclass(frozen=True)
class SharedTime:
    """The time, in microseconds, by the clock that all who use this store share: the database's. None: nobody else does."""

    def steps(self) -> Steps[int | None]:
        (row,) = yield run("shared_time")
        return row["at"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class PutBack:
    """Bring every deadline that is farther away than any is ever set to where it can be at most; return how many.

    `lease` and `grace` (microseconds) are the longest that are given.
    """

    now: int
    lease: int
    grace: int

    def steps(self) -> Steps[int]:
        changed = 0
        for statement, ahead in (
            ("put_back_leases", self.lease),
            ("put_back_graces", self.grace),
            ("put_back_waits", RETRY_DELAY),
            ("put_back_parcels", LONGEST_PAUSE),
        ):
            changed += len((yield run(statement, latest=self.now + ahead)))
        if changed:
            yield [Signal(QUEUE), Signal(OUTBOX)]
        return changed
