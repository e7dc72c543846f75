"""The tool that replays recorded exchanges: what it finds equal, what it explains, and what it must not let pass."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORD = """\
# A record

## 1. Health and errors

### health

```http
GET /api/v1/health HTTP/1.1
X-Global-Transaction-Id: mine
```

```http
HTTP/1.1 200 OK
Content-Type: application/json
X-Global-Transaction-Id: mine

{
 "status": "healthy",
 "timestamp": "2026-01-01T00:00:00Z"
}
```

## 2. Providers

### create

```http
POST /api/v1/evaluations/providers HTTP/1.1

{"name": "p", "benchmarks": [{"id": "b"}]}
```

```http
HTTP/1.1 201 Created
Content-Type: application/json
X-Global-Transaction-Id: 1

{
 "resource": {
  "id": "00000000-0000-4000-8000-000000000001",
  "created_at": "2026-01-01T00:00:00Z",
  "updated_at": "2026-01-01T00:00:00Z"
 },
 "name": "p",
 "title": "",
 "benchmarks": [{"id": "b", "name": "", "category": "", "num_few_shot": 0, "dataset_size": 0}]
}
```

### delete

```http
DELETE /api/v1/evaluations/providers/00000000-0000-4000-8000-000000000001 HTTP/1.1
```

```http
HTTP/1.1 204 No Content
Content-Type: application/json
X-Global-Transaction-Id: 2
```

### an entry of the catalogue

```http
GET /api/v1/evaluations/providers/practice HTTP/1.1
```

```http
HTTP/1.1 200 OK
Content-Type: application/json
X-Global-Transaction-Id: 3

{
 "resource": {
  "id": "practice",
  "created_at": "2026-01-01T00:00:00Z",
  "updated_at": "2026-01-01T00:00:00Z",
  "owner": "system"
 },
 "name": "other",
 "title": "Other words",
 "benchmarks": [{"id": "b", "name": "B", "category": "c", "num_few_shot": 0, "dataset_size": 0}]
}
```

## 7. Jobs

### the first

JOB 1

### the second

JOB 2

### both, in any order

```http
GET /api/v1/evaluations/jobs HTTP/1.1
```

```http
HTTP/1.1 200 OK
Content-Type: application/json
X-Global-Transaction-Id: 4

{
 "first": {"href": "/api/v1/evaluations/jobs"},
 "limit": 50,
 "total_count": 2,
 "items": [LISTED 1, LISTED 2]
}
```

## 15. Gallery

#### provider

| change | HTTP | message_code | message |
|---|---|---|---|
| `runtime` = `{"k8s": {"image_pull_policy": "never"}}` | 400 | request_validation_failed | \
`image_pull_policy must be one of: if_not_present, always` |
| `name` = `""` | 201 |  | accepted |
| `tags` = `"x"` | 400 | invalid_json_request | `json: cannot unmarshal string` |
"""


_JOB = {
    "resource": {"id": "00000000-0000-4000-8000-00000000010N", "created_at": "2026-01-01T00:00:00Z"},
    "status": {
        "state": "pending",
        "message": {
            "message": "Evaluation job created",
            "message_code": "evaluation_job_created",
            "message_origin": "server",
        },
    },
    "results": {},
    "name": "job-N",
    "model": {"url": "http://m.example/v1", "name": "m"},
    "benchmarks": [{"id": "quick_perf_test", "provider_id": "guidellm"}],
}
_SUBMITTED = """\
```http
POST /api/v1/evaluations/jobs HTTP/1.1

{posted}
```

```http
HTTP/1.1 202 Accepted
Content-Type: application/json
X-Global-Transaction-Id: 5

{answered}
```"""


def with_jobs(record: str) -> str:
    """Return a record in which the places of the two jobs are filled."""
    listed = {**_JOB, "resource": {**_JOB["resource"], "updated_at": "2026-01-01T00:00:00Z"}}  # type: ignore[dict-item]
    posted = {name: _JOB[name] for name in ("name", "model", "benchmarks")}
    whole = _SUBMITTED.replace("{posted}", json.dumps(posted)).replace("{answered}", json.dumps(_JOB))
    for number in "12":
        record = record.replace(f"JOB {number}\n", whole.replace('N"', f'{number}"') + "\n")
        record = record.replace(f"LISTED {number}", json.dumps(listed).replace('N"', f'{number}"'))
    return record


def replayed(folder: Path, record: str) -> subprocess.CompletedProcess[str]:
    path = folder / "record.md"
    path.write_text(with_jobs(record))
    command = [sys.executable, "tools/replay_transcripts.py", str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def counts(shown: str) -> list[list[int]]:
    """Return section, equal, known and unexplained of each line of the summary."""
    rows = [line.split() for line in shown.splitlines()]
    return [[int(word) for word in row] for row in rows if len(row) == 4 and all(word.isdigit() for word in row)]


def test_what_is_known_is_explained_and_what_is_equal_is_counted(tmp_path: Path) -> None:
    done = replayed(tmp_path, RECORD)
    assert done.returncode == 0, done.stdout + done.stderr
    assert counts(done.stdout) == [[1, 0, 1, 0], [2, 1, 2, 0], [7, 0, 3, 0], [15, 2, 1, 0]]
    assert "reasons: A12 2, A14 3, B14 1, D1 1, D13 1, catalogue 1, no content 1" in done.stdout


@pytest.mark.parametrize(
    ("recorded", "other"),
    [
        ('"status": "healthy"', '"status": "well"'),
        ("X-Global-Transaction-Id: mine\n\n{", "X-Global-Transaction-Id: yours\n\n{"),
        ('"title": "",\n "benchmarks"', '"benchmarks"'),
        ('"name": "p",\n "title": ""', '"title": "",\n "name": "p"'),
        ("204 No Content", "200 OK"),
        ("if_not_present, always", "always"),
        ("| invalid_json_request |", "| unknown_error |"),
        ('"title": "Other words"', '"title": ["Other words"]'),
        ('"category": "c", "num_few_shot": 0', '"category": "c", "num_few_shot": "0"'),
        ('"items": [LISTED 1, LISTED 2]', '"items": [LISTED 1, LISTED 1]'),
    ],
)
def test_a_reason_hides_nothing_else(tmp_path: Path, recorded: str, other: str) -> None:
    assert recorded in RECORD
    done = replayed(tmp_path, RECORD.replace(recorded, other))
    assert done.returncode == 1
    assert sum(row[3] for row in counts(done.stdout)) == 1, done.stdout
    assert "--- recorded\n+++ assay" in done.stdout


def test_every_known_difference_is_in_the_page_about_them() -> None:
    program = "import sys; sys.path.insert(0, 'tools'); from transcripts.reasons import known; print(*known(), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    page = (ROOT / "docs/evalhub-compatibility.md").read_text(encoding="utf-8")
    missing = [name for name in done.stdout.splitlines() if f"\n| {name} | " not in page]
    assert missing == []
