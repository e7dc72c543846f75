"""Known differences in the documents of jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from transcripts.normal import Answer
from transcripts.parsing import Exchange
from transcripts.reasons import Case, Reason, same, told

Json = dict[str, Any]

_TERMINAL = ("completed", "failed", "cancelled")
_PHASES = ("loading_data", "running_evaluation")
"""What the record's benchmarks said of themselves before their last report."""
_TIME = re.compile(r"<time>|2026-01-01T00:0\d:00Z")
"""The server's time, or one that the record's adapter sent."""

_SCORES = {0.6166667: 0.783333333333, 0.68333334: 0.85}
"""Recorded scores that do not invert a provider's `lower_is_better`, and what they come to when it is inverted."""

_CANCELLED = {
    "message": "Evaluation job cancelled",
    "message_code": "evaluation_job_cancelled",
    "message_origin": "server",
}
_NOT_NUMERIC = {
    "message": "The primary metric 'acc' is not a number, so the benchmark could not be judged.",
    "message_code": "primary_metric_not_numeric",
    "message_origin": "server",
}
_NO_COMMAND = (
    "Local runtime is not enabled for provider 'ragas'. "
    "Please configure a local runtime command for this provider and try again."
)
_UPDATED = {"message_code": "evaluation_job_updated", "message_origin": "server"}
_COMPLETED = {
    "status": "completed",
    "phase": "loading_data",
    "warning_message": {"message": "w", "message_code": "warn", "message_origin": "runtime"},
    "started_at": "2026-01-01T00:00:00Z",
    "completed_at": "2026-01-01T00:01:00Z",
}
_MEASURED = {
    "metrics": {"acc": 0.4, "arr": [1, 2], "label": "A"},
    "metrics_schema": [
        {"name": n, "type": t} for n, t in (("acc", "numeric"), ("label", "categorical"), ("arr", "numeric"))
    ],
    "additional_info": {"zero_shot": True},
    "artifacts": {"oci_reference": "r"},
    "mlflow_run_id": "run1",
    "logs_path": "/x",
    "test": {"primary_score": 0.4, "primary_score_metric": "acc", "threshold": 0.5, "pass": False},
}
"""What was reported of the record's benchmark that was completed first and failed afterwards."""

_HALF = {"primary_score": 0.5, "primary_score_metric": "acc", "threshold": 0.5, "pass": True}


def _jobs(theirs: Answer, ours: Answer) -> Iterator[tuple[Json, Json]]:
    """Yield the jobs of two answers, pair by pair."""
    if not (isinstance(theirs.body, dict) and isinstance(ours.body, dict)):
        return
    if "items" in theirs.body and "items" in ours.body:
        pairs = list(zip(theirs.body["items"], ours.body["items"], strict=False))
    else:
        pairs = [(theirs.body, ours.body)]
    yield from (pair for pair in pairs if all("results" in document and "status" in document for document in pair))


def _rows(document: Json, member: str) -> list[Json]:
    rows: list[Json] = document[member].get("benchmarks", [])
    return rows


def _pairs(theirs: Answer, ours: Answer, member: str) -> Iterator[tuple[Json, Json, Json]]:
    """Yield the rows of `status` or `results` that are about one benchmark, and our document."""
    for before, after in _jobs(theirs, ours):
        known = {row["benchmark_index"]: row for row in _rows(before, member)}
        for row in _rows(after, member):
            if row["benchmark_index"] in known:
                yield known[row["benchmark_index"]], row, after


def _updated_at(case: Case, theirs: Answer, ours: Answer) -> bool:
    found = False
    for before, after in _jobs(theirs, ours):
        resource = after["resource"]
        if ours.status == 202 and "updated_at" not in before["resource"] and resource.get("updated_at") == "<time>":
            del resource["updated_at"]
            found = True
    return found


def _silent_rows(case: Case, theirs: Answer, ours: Answer) -> bool:
    """Rows of benchmarks that have not reported: `pending`, or `cancelled` with their job."""
    found = False
    for before, after in _jobs(theirs, ours):
        reported = {row["benchmark_index"] for row in _rows(before, "status")}
        rows = list(enumerate(_rows(after, "status")))
        kept = [row for index, row in rows if index in reported or not _is_silent(row, index, after)]
        if len(kept) < len(rows):
            found = True
            after["status"]["benchmarks"] = kept
            if not kept and "benchmarks" not in before["status"]:
                del after["status"]["benchmarks"]
    return found


def _is_silent(row: Json, index: int, document: Json) -> bool:
    """Say whether a row says no more than which benchmark it is about, and that this waits or was cancelled."""
    listed = document.get("benchmarks")
    names = listed[index] if listed else row
    about = {"provider_id": names["provider_id"], "id": names["id"], "benchmark_index": index}
    return row in ({**about, "status": "pending"}, {**about, "status": "cancelled", "error_message": _CANCELLED})


def _first_end(case: Case, theirs: Answer, ours: Answer) -> bool:
    """A benchmark that was completed and then reported as failed; its result goes with its end."""
    row, result = (next(_pairs(theirs, ours, member), None) for member in ("status", "results"))
    if not (row and result and row[0]["status"] == "failed"):
        return False
    about = ("id", "provider_id", "benchmark_index")
    found = all(
        {name: own[name] for name in about} == {name: recorded[name] for name in about} for recorded, own, _ in (row, result)
    )
    found = found and all(
        {name: value for name, value in own.items() if name not in about} == kept
        for (_, own, _), kept in ((row, _COMPLETED), (result, _MEASURED))
    )
    if found:
        for recorded, own, _ in (row, result):
            own.clear()
            own.update(recorded)
    return found


def _merged(case: Case, theirs: Answer, ours: Answer) -> bool:
    found = False
    for before, after, _ in _pairs(theirs, ours, "status"):
        for name in ("phase", "started_at", "completed_at"):
            value = after.get(name, "")
            plausible = value in _PHASES if name == "phase" else bool(_TIME.fullmatch(value))
            begun = after["status"] in (_TERMINAL if name == "completed_at" else ("running", *_TERMINAL))
            if plausible and begun and name not in before:
                del after[name]
                found = True
    return found


def _hint(case: Case, theirs: Answer, ours: Answer) -> bool:
    found = False
    for before, after, _ in _pairs(theirs, ours, "status"):
        if "warning_message" not in before and after.get("warning_message") == _NOT_NUMERIC:
            del after["warning_message"]
            found = True
    return found


def _row_order(case: Case, theirs: Answer, ours: Answer) -> bool:
    found = False
    for before, _ in _jobs(theirs, ours):
        for member in ("status", "results"):
            rows = _rows(before, member)
            ordered = sorted(rows, key=lambda row: row["benchmark_index"])
            if ordered != rows:
                before[member]["benchmarks"] = ordered
                found = True
    for recorded, own, _ in _pairs(theirs, ours, "results"):
        listed, wanted = recorded.get("metrics_schema", []), own.get("metrics_schema", [])
        in_order = [entry["name"] for entry in wanted] == list(own.get("metrics", {}))
        if listed != wanted and in_order and sorted(map(str, listed)) == sorted(map(str, wanted)):
            recorded["metrics_schema"] = wanted
            found = True
    return found


def _inverted(case: Case, theirs: Answer, ours: Answer) -> bool:
    found = False
    for before, after in _jobs(theirs, ours):
        recorded, own = (document["results"].get("test", {}) for document in (before, after))
        if recorded.get("score") in _SCORES and own.get("score") == _SCORES[recorded["score"]]:
            own["score"] = recorded["score"]
            found = True
    return found


def _beyond_one(case: Case, theirs: Answer, ours: Answer) -> bool:
    found = False
    for before, after in _jobs(theirs, ours):
        if before["results"].get("test", {}).get("score", 0) < 0 and "test" not in after["results"]:
            del before["results"]["test"]
            found = True
    return found


def _own_criteria(case: Case, theirs: Answer, ours: Answer) -> bool:
    """The second of two equal benchmarks, judged by its own threshold."""
    found = False
    for before, after, document in _pairs(theirs, ours, "results"):
        index, posted = after["benchmark_index"], document.get("benchmarks", [])
        if not (index and index < len(posted) and posted[0]["id"] == posted[index]["id"] and "test" in before):
            continue
        first, own = (posted[at].get("pass_criteria", {}).get("threshold") for at in (0, index))
        if first != own and before["test"]["threshold"] == first:
            judged = {**before["test"], "threshold": own, "pass": before["test"]["primary_score"] >= own}
            if after.get("test") == judged:
                after["test"] = before["test"]
                found = True
    return found


def _criteria_apart(case: Case, theirs: Answer, ours: Answer) -> bool:
    """The metric is named by the job and the threshold by the provider."""
    found = False
    for before, after, document in _pairs(theirs, ours, "results"):
        posted = dict(enumerate(document.get("benchmarks", []))).get(after["benchmark_index"], {})
        apart = "test" not in before and "primary_score" in posted and "pass_criteria" not in posted
        whole = document["results"].get("test") == {"score": 0.5, "threshold": 0.5, "pass": True}
        if apart and whole and after.get("test") == _HALF:
            del after["test"], document["results"]["test"]
            found = True
    return found


def _orphan(case: Case, theirs: Answer, ours: Answer) -> bool:
    """Events and logs of a job whose collection is gone."""
    gone = theirs.status == 404 and told(theirs, "message").startswith("The collection resource")
    if not (gone and isinstance(case, Exchange) and "/jobs/" in case.target):
        return False
    header = "=== pod=9a046813-314c-42c7-a5a2-1fa39bf14196-0 container=local benchmark_id=b1 ==="
    wanted = (204, "") if case.method == "POST" else (200, header)
    return (ours.status, str(ours.body).strip()) == wanted and same(theirs, ours)


def _no_command(case: Case, theirs: Answer, ours: Answer) -> bool:
    """A job of a system provider without a command that works."""
    found = False
    for before, after in _jobs(theirs, ours):
        status = after["status"]
        if "benchmarks" in before["status"] or before["status"]["state"] != "pending" or status["state"] != "failed":
            continue
        error = {"message": _NO_COMMAND, "message_code": "evaluation_job_failed", "message_origin": "server"}
        row = {"provider_id": "ragas", "id": "ragas_rag_default", "benchmark_index": 0, "status": "failed"}
        text = f"Evaluation job is failed. \nBenchmark ragas_rag_default failed with message: {_NO_COMMAND}\n"
        told_why = status["message"] == {**_UPDATED, "message": text}
        if told_why and status["benchmarks"] == [{**row, "error_message": error, "completed_at": "<time>"}]:
            after["status"] = before["status"]
            found = True
    return found


JOBS = (
    Reason("B1", "a benchmark whose program cannot run fails", _no_command),
    Reason("A1", "lower_is_better of a provider is inverted in the job's score, which has 64 bits", _inverted),
    Reason("A2", "a value outside [0, 1] is not inverted and left out of the score", _beyond_one),
    Reason("A3", "each benchmark is judged by its own criteria", _own_criteria),
    Reason("A4", "metric and threshold are resolved each by itself", _criteria_apart),
    Reason("A5", "a warning says why there is no test", _hint),
    Reason("A7", "a job keeps a copy of its collection", _orphan),
    Reason("A9", "the first terminal report counts", _first_end),
    Reason("A14", "there is a row for each benchmark from the start", _silent_rows),
    Reason("A8", "reports merge, and missing times are the server's", _merged),
    Reason("A11", "rows are in index order, defaults of metrics_schema in the metrics' order", _row_order),
    Reason("A12", "updated_at is there from the start", _updated_at),
)
