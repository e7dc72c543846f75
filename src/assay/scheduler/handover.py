"""What a worker says in one call because it happens at one time: a run's start with its end or with an adapter's report, and
its end with the question for the next run. Each is one transaction, and several are carried out together.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from assay.model.errors import AssayError
from assay.scheduler.identifiers import rfc3339
from assay.store.base import Steps, alone
from assay.store.queue import Taken, TakeRuns
from assay.store.runs import EndRun, ReportRun, StartRun

_NOTHING = Taken([], held_back=False)
_LONGEST_AGO_MS = 86_400_000


def started_before(run_id: str, fence: int, now: int, milliseconds: int) -> StartRun:
    """Return the operation that notes at `now` (microseconds) that a run's process started so long before."""
    return StartRun(run_id, fence, now, rfc3339(now - min(milliseconds, _LONGEST_AGO_MS) * 1000))


@dataclass(frozen=True)
class HandOver:
    """An attempt has ended; the worker takes what is ready for the slot that it frees.

    `start`: that it had started is told at the same time. Raises what EndRun does, and nothing is leased then; where nothing
    can be leased the end counts nevertheless.
    """

    end: EndRun
    start: StartRun | None = None
    take: TakeRuns | None = None

    @property
    def keys(self) -> tuple[Hashable, ...]:
        return self.end.keys

    def steps(self) -> Steps[Taken]:
        return alone(self)

    @classmethod
    def together(cls, operations: Sequence[HandOver]) -> Steps[list[Taken | AssayError]]:
        yield from _start([one.start for one in operations])
        ended = yield from EndRun.together([one.end for one in operations])
        asking = [one.take if refusal is None else None for one, refusal in zip(operations, ended, strict=True)]
        taken: Iterator[Taken | AssayError] = iter(())
        if takes := [take for take in asking if take]:
            taken = iter((yield from TakeRuns.together(takes)))
        answers: list[Taken | AssayError] = []
        for take, refusal in zip(asking, ended, strict=True):
            found = next(taken) if take else _NOTHING
            answers.append(refusal or (_NOTHING if isinstance(found, AssayError) else found))
        return answers


@dataclass(frozen=True)
class StartAndReport:
    """An adapter reports, and the start of its run is told at the same time. Raises what ReportRun does."""

    start: StartRun
    report: ReportRun

    @property
    def keys(self) -> tuple[Hashable, ...]:
        return (*self.start.keys, *self.report.keys)

    def steps(self) -> Steps[None]:
        return alone(self)

    @classmethod
    def together(cls, operations: Sequence[StartAndReport]) -> Steps[list[AssayError | None]]:
        yield from _start([one.start for one in operations])
        return (yield from ReportRun.together([one.report for one in operations]))


def _start(starts: Sequence[StartRun | None]) -> Steps[None]:
    """Note the starts. One that is refused is passed over: what is said of the same run after it is refused for itself."""
    if told := [start for start in starts if start]:
        yield from StartRun.together(told)
