"""Loads the named statements of `sql/*.sql`, in the words of a dialect. A block starts with `-- name: NAME`, or
`-- name: NAME (DIALECT)` where a dialect has a way of its own to ask.

The dialects share every other statement. Where they have different words for one thing the file has a placeholder in braces,
and `DIALECTS` says what each puts there. `{run}` stands for the columns of a run `r`, `{job}` for those of a job `j`,
`{lane}` for those of a `Lane` whose first run is `r`, `{run_as_read}` for a run that is still in the state in which it was
read, `{recounted}` for what changes in a row of `jobs` when its runs are counted anew, `{watched}` for whether anybody has
asked to be notified of its changes.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final

from assay.model.states import Status
from assay.store.rows import JOB_COLUMNS, RUN_COLUMNS

_SHARED: Final = {
    "{run}": ", ".join(f"r.{column}" for column in RUN_COLUMNS),
    "{job}": ", ".join(f"j.{column}" for column in JOB_COLUMNS),
    "{lane}": "r.lane, r.tenant, r.owner, r.provider_id, r.engine, r.gpus, r.labels, r.priority, r.id, r.available_at",
    # The state is part of an expression, so that the run is looked up by its key: PostgreSQL may think that few are queued,
    # and look through all of those.
    "{run_as_read}": "id = :id AND state || '' = :from AND fence = :fence",
    # Beside the state: SQLite writes an index anew where one of its columns is named, whether or not the value is another.
    "{recounted}": "cancelled = :cancelled, updated_at = :now, version = version + 1, test = :test, exports = :exports, "
    + ", ".join(f"n_{status.value} = :n_{status.value}" for status in Status),
    "{watched}": "(EXISTS (SELECT 1 FROM resources w WHERE w.kind = 'webhook' AND w.tenant = jobs.tenant) "
    "OR EXISTS (SELECT 1 FROM resources w WHERE w.kind = 'publisher'))",
}
_HEADER = re.compile(r"^-- name: (\w+)(?: \((\w+)\))?$", re.MULTILINE)

QUEUE_LOCK: Final = 0x61737361_79717565
"""PostgreSQL's advisory lock of whoever hands out slots by shares and quotas."""

DIALECTS: Final[dict[str, dict[str, str]]] = {
    # SQLite has one writer, so its rows need no locks, and says itself how many rows a statement has changed.
    "sqlite": {
        "{for_update}": "",
        "{for_update_of_run}": "",
        "{skip_locked}": "",
        "{returning}": "",
        "{event}": "VALUES (:job_id, :run_id, :at, :type, :data)",
        "{lock_queue}": "SELECT 1",
        "{shared_time}": "SELECT NULL AS at",
        "{skip_events}": "UPDATE sqlite_sequence SET seq = seq + :gap WHERE name = 'events'",
        "{last_event}": "SELECT seq FROM sqlite_sequence WHERE name = 'events'",
    },
    # Several servers may look for work at once: a run that one of them has in its hands is passed over. Keys never change,
    # so the locks let pass who only refers to a row. An event takes its number under the lock of its job: whoever reads
    # on from an event that was seen misses none that is committed later. Who sums what is held before he takes more does
    # so alone.
    "postgres": {
        "{for_update}": "FOR NO KEY UPDATE",
        "{for_update_of_run}": "FOR NO KEY UPDATE OF r",
        "{skip_locked}": "SKIP LOCKED",
        "{returning}": "RETURNING id",
        "{event}": "SELECT id, :run_id, :at, :type, :data FROM jobs WHERE id = :job_id FOR NO KEY UPDATE",
        "{lock_queue}": f"SELECT pg_advisory_xact_lock({QUEUE_LOCK})",
        "{shared_time}": "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS at",
        "{skip_events}": "SELECT setval(pg_get_serial_sequence('events', 'seq'), "
        "nextval(pg_get_serial_sequence('events', 'seq')) + CAST(:gap AS BIGINT))",
        "{last_event}": "SELECT last_value AS seq FROM events_seq_seq WHERE is_called",
    },
}


@cache
def statements(dialect: str = "sqlite") -> dict[str, str]:
    """Return every named statement of every topic, by name."""
    found: dict[str, str] = {}
    for file in sorted(resources.files(__package__).joinpath("sql").iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        parts = _HEADER.split(file.read_text(encoding="utf-8"))
        for name, its_dialect, sql in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            if its_dialect not in (None, dialect):
                continue
            if name in found:
                raise ValueError(f"{file.name} defines {name} a second time")
            for placeholder, words in (_SHARED | DIALECTS[dialect]).items():
                sql = sql.replace(placeholder, words)
            found[name] = sql.strip().rstrip(";")
    return found
