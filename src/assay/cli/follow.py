"""Watching a job until it has ended: progress while it runs, its result table at the end, its verdict as
exit code.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import click

from assay.cli import results
from assay.cli.exits import Exit, say
from assay.cli.live import Display, display
from assay.cli.settings import Settings
from assay.client.errors import ServerError, TimedOut, Unreachable
from assay.client.evaluations import Evaluations, Seen, ended

POLL_S = 10.0
PATIENCE_S = 60.0
"""How long a server may be away (a restart) before watching is given up."""
_STEADY_S = 0.1


class OutOfTime(Exception):
    """The time to watch is over; the job goes on."""


def follow_to_end(
    settings: Settings,
    evaluations: Evaluations,
    job_id: str,
    *,
    timeout_s: float | None = None,
    cancel_on_interrupt: bool = False,
) -> Exit:
    """Watch a job, print its results and return the exit code. Ctrl-C and the time-out leave the job
    running.
    """
    deadline = time.monotonic() + timeout_s if timeout_s else None
    job: dict[str, Any] = {}
    try:
        with display(plain=settings.json) as shown:
            for job in changes(evaluations, job_id, deadline, shown):
                shown.update(job)
    except OutOfTime:
        return _left(evaluations, job_id, f"No end within {timeout_s:g} s.", cancel_on_interrupt)
    except KeyboardInterrupt:
        return _left(evaluations, job_id, "Interrupted.", cancel_on_interrupt)
    if settings.json:
        click.echo(json.dumps(job))
    else:
        from assay.cli.result_table import show

        show(job)
    return Exit.PASSED if results.passed(job) else Exit.FAILED


def changes(evaluations: Evaluations, job_id: str, deadline: float | None, shown: Display) -> Iterator[dict[str, Any]]:
    """Yield the job now and after every change, the last time when it has ended.

    A server that goes away is waited for, PATIENCE_S long. Raises OutOfTime at `deadline` (monotonic
    seconds), and ClientError.
    """
    etag, away_since = "", 0.0
    while True:
        left = POLL_S if deadline is None else min(POLL_S, deadline - time.monotonic())
        if left <= 0:
            raise OutOfTime
        began = time.monotonic()
        try:
            seen: Seen | None = evaluations.wait_for_change(job_id, etag, left) if etag else evaluations.look(job_id)
        except (Unreachable, TimedOut, ServerError) as error:
            if not etag or (isinstance(error, ServerError) and error.status < 500):
                raise
            away_since = away_since or began
            if began - away_since > PATIENCE_S:
                raise
            shown.note("the server does not answer; waiting for it")
            time.sleep(min(0.5, left))
            continue
        away_since = 0.0
        if seen is not None:
            etag = seen.etag or etag or '"unknown"'
            yield seen.job
            if ended(seen.job):
                return
        # A server that does not hold the request open, or changes without pause, is not asked in a tight
        # loop.
        time.sleep(max(0.0, _STEADY_S - (time.monotonic() - began)))


def _left(evaluations: Evaluations, job_id: str, why: str, cancel: bool) -> Exit:
    if cancel:
        try:
            evaluations.cancel(job_id)
            say(f"{why} The job {job_id} is cancelled.")
        except ServerError as error:
            say(f"{why} {error}")
        return Exit.INTERRUPTED
    say(f"{why} The job {job_id} goes on.")
    say(f"  watch it:  assay jobs show {job_id} --follow")
    say(f"  cancel it: assay jobs cancel {job_id}")
    return Exit.INTERRUPTED
