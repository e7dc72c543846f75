"""Runs as they were before an attempt that goes on was part of its run's row."""

from __future__ import annotations

from assay.store.base import Store
from assay.store.leases import LapseLeases
from assay.store.queries import AttemptsOfRun, RunById

_RUN = """INSERT INTO runs (id, job_id, idx, provider_id, benchmark_id, engine, state, status, priority, queued_at,
  available_at, attempts, max_attempts, fence, worker, lease_expires_at, finished_at, verdict)
VALUES ('{id}', 'j', {idx}, 'p', 'b', 'e', {rest});"""
_ATTEMPT = """INSERT INTO attempts (run_id, number, fence, worker, leased_at, started_at, ended_at, outcome)
VALUES ('{run}', {number}, {number}, 'w', {rest});"""
ATTEMPTED = "".join(
    [
        "INSERT INTO jobs (id, kind, tenant, owner, name, state, created_at, updated_at, n_pending, n_running, n_completed)"
        " VALUES ('j', 'evaluation', 't', 'o', 'n', 'running', 1, 2, 1, 1, 1);",
        _RUN.format(id="held", idx=0, rest="'running', 'running', 0, 1, 1, 2, 3, 2, 'w', 90, NULL, NULL"),
        _ATTEMPT.format(run="held", number=1, rest="10, 11, 12, 'lost'"),
        _ATTEMPT.format(run="held", number=2, rest="20, 21, NULL, ''"),
        _RUN.format(id="done", idx=1, rest="'completed', 'completed', 0, 1, 1, 1, 3, 1, NULL, NULL, 33, 'engine'"),
        _ATTEMPT.format(run="done", number=1, rest="30, 31, 32, 'completed'"),
        "INSERT INTO results (run_id, result) VALUES ('done', CAST('{\"metrics\":{\"acc\":0.5}}' AS BYTES));",
        _RUN.format(id="left", idx=2, rest="'queued', 'pending', 0, 1, 1, 1, 3, 1, NULL, NULL, NULL, NULL"),
        _ATTEMPT.format(run="left", number=1, rest="40, NULL, NULL, ''"),
    ]
)
"""SQL that makes a job with a run that a worker holds, one that has ended, and one whose attempt nobody has ended; BYTES
stands for the type of bytes."""


async def they_go_on(store: Store) -> None:
    """Check that every attempt is still there, and that the one that goes on can end."""
    assert await _attempts(store) == {
        "held": [(1, 10, 11, 12, "lost"), (2, 20, 21, None, "")],
        "done": [(1, 30, 31, 32, "completed")],
        "left": [(1, 40, None, 40, "lost")],
    }
    done = await store.lookup(RunById("done"))
    assert done is not None
    assert done.result == b'{"metrics":{"acc":0.5}}'
    assert await store.apply(LapseLeases(91)) == 1
    assert (await _attempts(store))["held"] == [(1, 10, 11, 12, "lost"), (2, 20, 21, 91, "lost")]


async def _attempts(store: Store) -> dict[str, list[tuple[object, ...]]]:
    return {
        run: [
            (one.number, one.leased_at, one.started_at, one.ended_at, one.outcome)
            for one in await store.lookup(AttemptsOfRun(run))
        ]
        for run in ("held", "done", "left")
    }
