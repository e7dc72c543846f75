"""Rows of the database as records of the model, and back to column values."""

from __future__ import annotations

from typing import Any

import msgspec

from assay.model.records import Attempt, Event, Job, Run
from assay.model.results import Report, Result
from assay.model.states import JobState, RunState, Status, Verdict
from assay.store.base import Row

_encode = msgspec.json.Encoder().encode
_report = msgspec.json.Decoder(Report)
_result = msgspec.json.Decoder(Result)


def run_of(row: Row) -> Run:
    """Return the run in a row of `runs` joined with its result."""
    return Run(
        id=row["id"],
        job_id=row["job_id"],
        index=row["idx"],
        provider_id=row["provider_id"],
        benchmark_id=row["benchmark_id"],
        engine=row["engine"],
        state=RunState(row["state"]),
        status=Status(row["status"]),
        priority=row["priority"],
        queued_at=row["queued_at"],
        available_at=row["available_at"],
        attempts=row["attempts"],
        max_attempts=row["max_attempts"],
        fence=row["fence"],
        worker=row["worker"],
        lease_expires_at=row["lease_expires_at"],
        grace_until=row["grace_until"],
        finished_at=row["finished_at"],
        verdict=Verdict(row["verdict"]) if row["verdict"] else None,
        done=row["done"],
        total=row["total"],
        report=row["report"],
        result=row["result"] or b"",
    )


def job_of(row: Row) -> Job:
    """Return the job in a row of `jobs` joined with its spec."""
    return Job(
        id=row["id"],
        kind=row["kind"],
        tenant=row["tenant"],
        owner=row["owner"],
        name=row["name"],
        experiment_id=row["experiment_id"],
        state=JobState(row["state"]),
        cancelled=bool(row["cancelled"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
        spec=row["spec"],
        collection=row["collection"],
        model=row["model"],
        threshold=row["threshold"],
        test=row["test"],
    )


def attempt_of(row: Row) -> Attempt:
    """Return the attempt in a row of `attempts`."""
    return msgspec.convert(dict(row), Attempt)


def event_of(row: Row) -> Event:
    """Return the event in a row of `events`."""
    return msgspec.convert({**row, "data": msgspec.json.decode(row["data"])}, Event)


def report_of(run: Run) -> Report:
    """Return the decoded report of a run."""
    return _report.decode(run.report)


def result_of(run: Run) -> Result | None:
    """Return the decoded result of a run, if it has one."""
    return _result.decode(run.result) if run.result else None


def encode(value: Any) -> bytes:
    """Return `value` as the JSON bytes that the store keeps."""
    return _encode(value)
