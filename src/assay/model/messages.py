"""What a job says of its state, in one sentence for people and a code for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from assay.model.results import Message
from assay.model.states import JobState, Status

CREATED: Final = Message("Evaluation job created", "evaluation_job_created", "server")
CANCELLED: Final = Message("Evaluation job cancelled", "evaluation_job_cancelled", "server")
"""What a cancelled job and its runs say."""


def job_message(state: JobState, benchmarks: Iterable[tuple[str, Status, Message | None]]) -> Message:
    """Return the message of a job in `state`, with the errors of those of its benchmarks (id, status, error) that failed."""
    if state is JobState.CANCELLED:
        return CANCELLED
    text = f"Evaluation job is {state}"
    if state in (JobState.FAILED, JobState.PARTIALLY_FAILED):
        rows = list(benchmarks)
        if state is JobState.PARTIALLY_FAILED:
            stopped = any(status is Status.CANCELLED for _, status, _ in rows)
            text = "Some of the benchmarks failed or cancelled" if stopped else "Some of the benchmarks failed"
        text += ". \n"
        for id_, status, error in rows:
            if status is Status.FAILED and error:
                text += f"Benchmark {id_} failed with message: {error.message}\n"
    return Message(text, "evaluation_job_updated", "server")
