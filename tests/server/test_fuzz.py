"""Whatever a client sends, the server answers, never with a 5xx, and what it takes it can show again."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.evalhub.galleries import changed
from tests.server.client import JOBS, PROVIDERS, Api, Reply, job_body

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalar = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
value = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=8
)

WHOLE: dict[str, Any] = {
    **job_body(),
    "description": "d",
    "tags": ["a"],
    "pass_criteria": {"threshold": 0.5},
    "experiment": {"name": "e", "tags": [{"key": "k", "value": "v"}]},
    "collection": {"id": "c", "benchmarks": [{"id": "b0", "provider_id": "manual"}]},
    "custom": {"a": 1},
    "exports": {"oci": {"coordinates": {"oci_host": "h", "oci_repository": "r"}, "k8s": {"connection": "s"}}},
    "hardware_config": {"queue": {"name": "q"}, "cpu": {"request": "1"}, "gpu": {"count": 1}},
    "queue": {"name": "q"},
    "timeout_seconds": 1,
    "priority": 1,
}
WHOLE["benchmarks"][0] |= {
    "weight": 1,
    "primary_score": {"metric": "m"},
    "pass_criteria": {"threshold": 0},
    "parameters": {"num_examples": 1},
    "test_data_ref": {"type": "data_set", "git": {"url": "https://example.com/r.git", "ref": "main"}},
}
EVENT: dict[str, Any] = {
    "provider_id": "manual",
    "id": "b0",
    "benchmark_index": 0,
    "status": "completed",
    "phase": "completed",
    "metrics": {"a": 1},
    "metrics_schema": [{"name": "a", "type": "numeric"}],
    "additional_info": {},
    "artifacts": {},
    "error_message": {"message": "m", "message_code": "c", "message_origin": "sdk"},
    "started_at": "2026-01-01T00:00:00Z",
    "mlflow_run_id": "r",
    "job_meta": {"resolved_sha": "abcdef1"},
}


def paths(at: Any, path: str = "") -> list[str]:
    """Return the dotted path of every member of a document."""
    members = at.items() if isinstance(at, dict) else enumerate(at) if isinstance(at, list) else []
    found = []
    for key, item in members:
        inner = f"{path}.{key}" if path else str(key)
        found += [inner, *paths(item, inner)]
    return found


def altered(whole: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Documents like `whole`: some optional members gone, a member or two replaced by anything."""
    change = st.dictionaries(st.sampled_from(paths(whole)), value, max_size=2)
    kept = st.sets(st.sampled_from(sorted(whole)))
    return st.builds(lambda names, change: _apply({k: v for k, v in whole.items() if k in names}, change), kept, change)


def _apply(body: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    for path, item in change.items():
        try:
            body = changed(body, {path: item})
        except (KeyError, IndexError, TypeError, ValueError):
            body = {**body, path.partition(".")[0]: item}
    return body


def sane(reply: Reply, *statuses: int) -> None:
    """Check that an answer is one of `statuses`, and that an error says what it is."""
    assert reply.status in statuses, (reply.status, reply.text[:500])
    if reply.status >= 400 and reply.headers["content-type"] == "application/json":
        assert reply.code
        assert reply.message


@given(
    body=altered(WHOLE) | altered({key: WHOLE[key] for key in ("name", "model", "benchmarks", "custom", "timeout_seconds")})
)
def test_any_submission_is_taken_or_refused(api: Api, body: dict[str, Any]) -> None:
    reply = api.post(JOBS, body)
    sane(reply, 202, 400, 404)
    if reply.status == 202:
        job_id = reply.json["resource"]["id"]
        assert api.job(job_id)["name"] == reply.json["name"]
        assert api.get(f"{JOBS}?limit=1").status == 200
        assert api.delete(f"{JOBS}/{job_id}?hard_delete=true").status == 204


@given(custom=st.dictionaries(text, value, max_size=4), name=text.filter(bool))
def test_what_is_taken_comes_back_as_it_was(api: Api, custom: dict[str, Any], name: str) -> None:
    reply = api.post(JOBS, job_body(name=name, custom=custom))
    if reply.status == 400:  # numbers that do not fit, and the one character that no database keeps
        assert reply.code == ("request_validation_failed" if "\0" in name else "invalid_json_request")
        return
    document = api.job(reply.json["resource"]["id"])
    assert document["name"] == name
    assert document.get("custom", {}) == json.loads(json.dumps(custom))


@given(event=altered(EVENT))
def test_any_event_is_taken_or_refused(api: Api, event: dict[str, Any]) -> None:
    job_id = api.submit("b0", "b1")
    sane(api.post(f"{JOBS}/{job_id}/events", {"benchmark_status_event": event}), 204, 400, 404)
    assert api.get(f"{JOBS}/{job_id}").status == 200
    assert api.get(f"{JOBS}/{job_id}/logs").status == 200


@given(raw=st.binary(max_size=60))
def test_any_bytes_are_refused_as_a_body(api: Api, raw: bytes) -> None:
    sane(api.post(JOBS, raw), 400)


NAMES = st.sampled_from(
    [
        "limit",
        "offset",
        "status",
        "name",
        "tags",
        "owner",
        "experiment_id",
        "scope",
        "benchmarks",
        "tail_lines",
        "timestamps",
        "since_seconds",
        "after",
        "created_after",
        "created_before",
        "sort_by",
        "model",
        "hard_delete",
        "zzz",
    ]
)
VALUES = st.sampled_from(
    ["", "0", "1", "-1", "true", "a,b", "a|b", "!a", "!", ",", "|", "!,", "a,!b|c", "9" * 25, "2026-01-01T00:00:00Z"]
)


@pytest.mark.parametrize(
    "path",
    [
        JOBS,
        PROVIDERS,
        "/api/v1/evaluations/collections",
        "/api/v1/evaluations/benchmarks",
        f"{JOBS}/nope/logs",
        f"{JOBS}/nope/history",
        f"{JOBS}/nope/benchmarks/0/logs",
    ],
)
@given(query=st.lists(st.tuples(NAMES, VALUES | text), max_size=4))
def test_any_query_is_answered(api: Api, path: str, query: list[tuple[str, str]]) -> None:
    encoded = "&".join(f"{quote(name)}={quote(given, safe='')}" for name, given in query)
    reply = api.get(f"{path}?{encoded}")
    sane(reply, 200, 400, 404)
    if reply.status == 200 and "first" in reply.json:
        assert api.get(reply.json["first"]["href"]).json["total_count"] == reply.json["total_count"]
        if "next" in reply.json:
            assert api.get(reply.json["next"]["href"]).status == 200


@given(raw=st.binary(max_size=40))
def test_any_bytes_are_answered_as_a_query(api: Api, raw: bytes) -> None:
    sane(api.get(f"{JOBS}?{quote(raw, safe='&=%')}"), 200, 400)


@given(segment=text.filter(bool))
def test_any_id_is_answered(api: Api, segment: str) -> None:
    assume(segment not in {entry["resource"]["id"] for entry in api.get(PROVIDERS).json["items"]})
    known = quote(segment, safe="")
    for path in (f"{JOBS}/{known}", f"{PROVIDERS}/{known}", f"{JOBS}/x/benchmarks/{known}/logs"):
        assert api.get(path).status in (307, 400, 404)


@given(
    name=st.sampled_from(
        ["X-Tenant", "X-User", "If-None-Match", "Prefer", "Idempotency-Key", "Authorization", "Origin", "Accept"]
    ),
    given_value=st.binary(max_size=20).map(lambda raw: raw.translate(None, bytes(range(32)) + b"\x7f")),
)
def test_any_header_is_answered(api: Api, name: str, given_value: bytes) -> None:
    headers: dict[str, Any] = {name: given_value}
    assert api.call("GET", JOBS + "?limit=1", headers=headers).status == 200
    assert api.call("GET", f"{JOBS}/nope", headers=headers).status == 404
    assert api.call("POST", JOBS, job_body(), headers).status in (202, 400, 403, 422)
