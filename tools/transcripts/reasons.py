"""The differences that are known: how each is called in `docs/evalhub-compatibility.md`, and what tells that it is this.

A reason takes out of two answers the one difference that it is about, under conditions that nothing else meets. What then
still differs is unexplained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from transcripts.normal import Answer
from transcripts.parsing import Exchange, Row

Case = Exchange | Row
Take = Callable[[Case, Answer, Answer], bool]


@dataclass(frozen=True)
class Reason:
    """A known difference. `ref` is its key in the compatibility page; `take` takes it out and says whether it was there."""

    ref: str
    why: str
    take: Take


def explain(case: Case, theirs: Answer, ours: Answer) -> list[Reason]:
    """Take every known difference out of two answers; return the reasons that applied."""
    return [reason for reason in _all() if reason.take(case, theirs, ours)]


def known() -> list[str]:
    """Return the keys of all known differences."""
    return [reason.ref for reason in _all()]


def _all() -> tuple[Reason, ...]:
    from transcripts.answer_reasons import ANSWERS
    from transcripts.job_reasons import JOBS

    return (*ANSWERS, *JOBS)


def told(answer: Answer, name: str) -> str:
    """Return a member of an error; empty if it is none."""
    return str(answer.body.get(name, "")) if answer.is_json and isinstance(answer.body, dict) else ""


def refused(answer: Answer, code: str, message: str) -> bool:
    """Say whether an answer is exactly this error. The members that all errors share may be cut, as in the gallery."""
    error = {"message_code": code, "message": message}
    return answer.is_json and answer.body in (error, {**error, "trace": "<request id>"})


def same(theirs: Answer, ours: Answer) -> bool:
    """Make our answer the recorded one: they differ altogether, for the reason that has been found. Always true."""
    ours.status, ours.headers, ours.body, ours.is_json = theirs.status, dict(theirs.headers), theirs.body, theirs.is_json
    return True
