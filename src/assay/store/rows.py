"""Rows of the database as records of the model, and back to column values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from assay.model.protocol import Gpu, Registration
from assay.model.records import Attempt, Event, Job, Run, Worker
from assay.model.results import Report, Result
from assay.model.states import JobState, RunState, Status, Verdict, WorkerState
from assay.store.base import Row

_encode = msgspec.json.Encoder().encode
_report = msgspec.json.Decoder(Report)
_result = msgspec.json.Decoder(Result)
_engines = msgspec.json.Decoder(dict[str, str])


RUN_COLUMNS: Final = (
    "id", "job_id", "idx", "provider_id", "benchmark_id", "engine", "state", "status", "priority", "queued_at",
    "available_at", "attempts", "max_attempts", "fence", "worker", "leased_at", "started_at", "lease_expires_at",
    "grace_until", "finished_at", "verdict", "done", "total", "report",
)  # fmt: skip
"""The columns of `runs` in the order of the fields of `records.Run`; its result follows them in every row, then the rest."""

JOB_COLUMNS: Final = (
    "id", "kind", "tenant", "owner", "name", "experiment_id", "state", "cancelled", "created_at", "updated_at", "version",
    "threshold", "collection", "model", "test", "experiment_url", "exports",
)  # fmt: skip
"""The columns of `jobs` that a `records.Job` is made of; what was posted follows them in a row."""

_STATES: Final = {state.value: state for state in RunState}
_STATUSES: Final = {status.value: status for status in Status}
_VERDICTS: Final = {verdict.value: verdict for verdict in Verdict}


def run_of(row: Iterable[Any]) -> Run:
    """Return the run in the values of a row that begin with `RUN_COLUMNS` and the run's result."""
    # By position: a look-up by name searches the names of all columns before it.
    (
        run_id, job_id, index, provider_id, benchmark_id, engine, state, status, priority, queued_at, available_at, attempts,
        max_attempts, fence, worker, leased_at, started_at, lease_expires_at, grace_until, finished_at, verdict, done, total,
        report, result, *_
    ) = row  # fmt: skip
    return Run(
        run_id, job_id, index, provider_id, benchmark_id, engine, _STATES[state], _STATUSES[status], priority, queued_at,
        available_at, attempts, max_attempts, fence, worker, leased_at, started_at, lease_expires_at, grace_until,
        finished_at, _VERDICTS[verdict] if verdict else None, done, total, report, result or b"",
    )  # fmt: skip


def run_and_last(row: Iterable[Any]) -> tuple[Run, Any]:
    """Return the run in such a row, and the value that ends the row."""
    values = tuple(row)
    return run_of(values), values[-1]


def job_of(row: Iterable[Any]) -> Job:
    """Return the job in the values of `JOB_COLUMNS` and what was posted."""
    (
        job_id, kind, tenant, owner, name, experiment_id, state, cancelled, created_at, updated_at, version, threshold,
        collection, model, test, experiment_url, exports, spec,
    ) = row  # fmt: skip
    return Job(
        id=job_id,
        kind=kind,
        tenant=tenant,
        owner=owner,
        name=name,
        experiment_id=experiment_id,
        state=JobState(state),
        cancelled=bool(cancelled),
        created_at=created_at,
        updated_at=updated_at,
        version=version,
        spec=spec,
        collection=collection,
        model=model,
        threshold=threshold,
        test=test,
        experiment_url=experiment_url,
        exports=exports,
    )


def attempt_of(row: Row) -> Attempt:
    """Return the attempt in a row of `attempts`."""
    return msgspec.convert(dict(row), Attempt)


def event_of(row: Row) -> Event:
    """Return the event in a row of `events`."""
    return msgspec.convert({**row, "data": msgspec.json.decode(row["data"])}, Event)


class _Offer(msgspec.Struct, frozen=True):
    """What the store keeps of a registration beside the columns of `workers`; older ones have less of it."""

    protocol: int = 1
    cpus: int = 0
    memory: int = 0
    gpus: list[Gpu] = []
    labels: dict[str, str] = {}


_offer = msgspec.json.Decoder(_Offer)


@lru_cache(maxsize=256)
def _offered(engines: bytes, announced: bytes) -> dict[str, Any]:
    """Return what a worker has announced, by field: few workers call often."""
    return msgspec.structs.asdict(_offer.decode(announced)) | {"engines": _engines.decode(engines)}


def worker_of(row: Row, held: int = 0) -> Worker:
    """Return the worker in a row of `workers`, which holds so many runs."""
    return Worker(
        name=row["name"],
        incarnation=row["incarnation"],
        state=WorkerState(row["state"]),
        slots=row["slots"],
        version=row["version"],
        registered_at=row["registered_at"],
        seen_at=row["seen_at"],
        held=held,
        **_offered(row["engines"], row["announced"]),
    )


def announced(registration: Registration) -> bytes:
    """Return what the store keeps of a registration beside the columns of `workers`."""
    return encode({name: getattr(registration, name) for name in _Offer.__struct_fields__})


def report_of(run: Run) -> Report:
    """Return the decoded report of a run."""
    return _report.decode(run.report)


def result_of(run: Run) -> Result | None:
    """Return the decoded result of a run, if it has one."""
    return _result.decode(run.result) if run.result else None


def named(row: Row) -> Mapping[str, Any]:
    """Return the values of a row that many are asked of: SQLite's goes through the names of its columns for each."""
    return dict(zip(row.keys(), row, strict=True))


def encode(value: Any) -> bytes:
    """Return `value` as the JSON bytes that the store keeps."""
    return _encode(value)


def listed(values: Iterable[str]) -> str:
    """Return texts as the JSON list that statements unfold with `json_each`."""
    return _encode(list(values)).decode()
