"""Known differences in the documents of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from transcripts.normal import Answer
from transcripts.parsing import Exchange
from transcripts.reasons import Case, Reason

Json = dict[str, Any]

_MERGED = ("phase", "error_message", "warning_message", "started_at", "completed_at")
_SCORES = {0.6166667: 0.783333333333, 0.68333334: 0.85}
"""Recorded scores that do not invert a provider's `lower_is_better`, and what they come to when it is inverted."""


def _jobs(theirs: Answer, ours: Answer) -> Iterator[tuple[Json, Json]]:
    """Yield the jobs of two answers, pair by pair."""
    if not (isinstance(theirs.body, dict) and isinstance(ours.body, dict)):
        return
    if "items" in theirs.body and "items" in ours.body:
        pairs = zip(theirs.body["items"], ours.body["items"], strict=False)
    else:
        pairs = zip([theirs.body], [ours.body], strict=True)
    for pair in pairs:
        if all("results" in document and "status" in document for document in pair):
            yield pair


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
        if ours.status == 202 and "updated_at" not in before["resource"]:
            found = after["resource"].pop("updated_at", None) == "<time>"
    return found


def _silent_rows(case: Case, theirs: Answer, ours: Answer) -> bool:
    """Rows of benchmarks that have not reported: `pending`, or `cancelled` with their job."""
    found = False
    for before, after in _jobs(theirs, ours):
        reported = {row["benchmark_index"] for row in _rows(before, "status")}
        kept = [row for row in _rows(after, "status") if row["benchmark_index"] in reported or not _is_silent(row)]
        found = found or len(kept) < len(_rows(after, "status"))
        after["status"]["benchmarks"] = kept
        if not kept and "benchmarks" not in before["status"]:
            del after["status"]["benchmarks"]
    return found


def _is_silent(row: Json) -> bool:
    if row["status"] == "pending":
        return len(row) == 4
    return row["status"] == "cancelled" and row["error_message"]["message_code"] == "evaluation_job_cancelled"


def _first_end(case: Case, theirs: Answer, ours: Answer) -> bool:
    """A benchmark that was completed and then reported as failed; its result goes with its end."""
    found = False
    for before, after, _ in _pairs(theirs, ours, "status"):
        if (before["status"], after["status"]) == ("failed", "completed"):
            found = True
            for member in ("status", "results"):
                for recorded, own, _ in _pairs(theirs, ours, member):
                    if recorded["benchmark_index"] == before["benchmark_index"]:
                        _become(own, recorded)
    return found


def _become(row: Json, other: Json) -> None:
    row.clear()
    row.update(other)


def _merged(case: Case, theirs: Answer, ours: Answer) -> bool:
    found = False
    for before, after, _ in _pairs(theirs, ours, "status"):
        for name in _MERGED:
            if name in after and name not in before and not _is_hint(after[name]):
                del after[name]
                found = True
    return found


def _is_hint(value: Any) -> bool:
    return isinstance(value, dict) and value.get("message_code") == "primary_metric_not_numeric"


def _hint(case: Case, theirs: Answer, ours: Answer) -> bool:
    found = False
    for before, after, _ in _pairs(theirs, ours, "status"):
        if "warning_message" not in before and _is_hint(after.get("warning_message")):
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
        if listed != wanted and sorted(map(str, listed)) == sorted(map(str, wanted)):
            recorded["metrics_schema"] = wanted
            found = True
    return found


def _inverted(case: Case, theirs: Answer, ours: Answer) -> bool:
    found = False
    for before, after in _jobs(theirs, ours):
        tests = [document["results"].get("test", {}) for document in (before, after)]
        if tests[0].get("score") in _SCORES and tests[1].get("score") == _SCORES[tests[0]["score"]]:
            tests[1]["score"] = tests[0]["score"]
            found = True
    return found


def _beyond_one(case: Case, theirs: Answer, ours: Answer) -> bool:
    found = False
    for before, after in _jobs(theirs, ours):
        test = before["results"].get("test", {})
        if test.get("score", 0) < 0 and "test" not in after["results"]:
            del before["results"]["test"]
            found = True
    return found


def _own_criteria(case: Case, theirs: Answer, ours: Answer) -> bool:
    """The second of two equal benchmarks, judged by its own threshold."""
    found = False
    for before, after, document in _pairs(theirs, ours, "results"):
        posted = document.get("benchmarks", [])
        index = after["benchmark_index"]
        if "test" not in before or "test" not in after or index == 0 or index >= len(posted):
            continue
        first, own = (posted[at].get("pass_criteria", {}).get("threshold") for at in (0, index))
        if posted[0]["id"] == posted[index]["id"] and (before["test"]["threshold"], after["test"]["threshold"]) == (
            first,
            own,
        ):
            after["test"] = before["test"]
            found = first != own
    return found


def _criteria_apart(case: Case, theirs: Answer, ours: Answer) -> bool:
    """The metric is named by the job and the threshold by the provider."""
    found = False
    for before, after, document in _pairs(theirs, ours, "results"):
        listed = dict(enumerate(document.get("benchmarks", [])))
        posted = listed.get(after["benchmark_index"], {})
        if "test" in after and "test" not in before and "primary_score" in posted and "pass_criteria" not in posted:
            del after["test"], document["results"]["test"]
            found = True
    return found


def _orphan(case: Case, theirs: Answer, ours: Answer) -> bool:
    gone = isinstance(theirs.body, dict) and str(theirs.body.get("message", "")).startswith("The collection resource")
    about_job = isinstance(case, Exchange) and "/jobs/" in case.target
    if not (gone and about_job and theirs.status == 404 and ours.status in (200, 204)):
        return False
    ours.status, ours.headers, ours.body, ours.is_json = theirs.status, theirs.headers, theirs.body, theirs.is_json
    return True


JOBS = (
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
