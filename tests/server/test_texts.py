"""Texts at the edge of what a database keeps, on every dialect: kept whole, or refused in words."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.server import catalogue
from tests.server.acting import KEY, Worker
from tests.server.client import JOBS, PROVIDERS, Api, job_body
from tests.server.serving import serving

_LONG = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyzäöü€", k=20_000))
"""More than an index entry holds, however it is compressed."""


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp(request.param)
    flags = ["--catalog", str(catalogue.write(folder / "catalogue", catalogue.provider("manual", "true")))]
    if request.param == "sqlite":
        with serving(folder, *flags, ASSAY_WORKER_KEY=KEY) as running:
            yield running.api
        return
    with (
        request.getfixturevalue("postgres").database() as url,
        serving(folder, *flags, ASSAY_DATABASE=url, ASSAY_WORKER_KEY=KEY) as running,
    ):
        yield running.api


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"name": "a\0b"}, "name"),
        ({"description": "\0"}, "description"),
        ({"tags": ["fine", "a\0b"]}, "tags[1]"),
        ({"model": {"url": "http://m.example/v1", "name": "m\0"}}, "model.name"),
        ({"benchmarks": [{"provider_id": "manual", "id": "b0\0"}]}, "benchmarks[0].Ref.id"),
    ],
)
def test_a_nul_character_is_refused_with_its_field(api: Api, members: dict[str, Any], field: str) -> None:
    reply = api.post(JOBS, job_body(**members))
    assert (reply.status, reply.code) == (400, "request_validation_failed")
    assert f"{field} must not hold NUL characters" in reply.message


def test_a_nul_character_in_a_providers_name_is_refused(api: Api) -> None:
    reply = api.post(PROVIDERS, {"name": "p\0", "benchmarks": []})
    assert reply.status == 400
    assert "name must not hold NUL characters" in reply.message


@pytest.mark.parametrize("name", ["name", "tags", "owner", "model", "collection_id", "status"])
def test_a_nul_character_in_a_filter_is_refused(api: Api, name: str) -> None:
    reply = api.get(f"{JOBS}?{name}=a%00b")
    assert (reply.status, reply.code) == (400, "query_parameter_invalid")
    assert f"'{name}'" in reply.message


def test_nothing_has_an_id_with_a_nul_character(api: Api) -> None:
    for path in (f"{JOBS}/a%00b", f"{JOBS}/a%00b/logs", f"{PROVIDERS}/%00"):
        assert api.get(path).status == 404
    assert api.delete(f"{JOBS}/a%00b?hard_delete=true").status == 404


def test_free_members_keep_every_character(api: Api) -> None:
    custom = {"a\0": ["\0", "\u2028", "\U0001f600"]}
    assert api.job(api.submit(custom=custom))["custom"] == custom


def test_what_a_program_printed_is_no_reason_to_refuse_its_report(api: Api) -> None:
    job_id = api.submit()
    error = {"message": "segmentation fault\0\0", "message_code": "crashed"}
    assert api.report(job_id, "failed", error_message=error).status == 204
    assert api.job(job_id)["status"]["benchmarks"][0]["error_message"]["message"].startswith("segmentation fault")


def test_what_a_worker_says_of_a_run_is_kept_without_nul_characters(api: Api) -> None:
    held = Worker(api).take(api)
    assert held.end("failed", code="crashed", message="core\0dumped, not \\u0000").status == 204
    row = api.job(held.job_id)["status"]["benchmarks"][0]
    assert row["error_message"]["message"] == "core\ufffddumped, not \\u0000"


def test_a_long_name_is_kept_and_found(api: Api) -> None:
    other = _LONG[:-1] + "!"
    ids = [api.submit(name=name, model={"url": "http://m.example/v1", "name": name}) for name in (_LONG, other)]
    assert [api.job(job_id)["name"] for job_id in ids] == [_LONG, other]
    found = api.get(f"{JOBS}?name={quote(_LONG[:2000])}").json
    assert found["total_count"] == 0
    short = _LONG[:2000]
    job_id = api.submit(name=short, model={"url": "http://m.example/v1", "name": short})
    for name in ("name", "model"):
        assert [job["resource"]["id"] for job in api.get(f"{JOBS}?{name}={quote(short)}").json["items"]] == [job_id]


@pytest.mark.parametrize("header", ["X-Tenant", "X-User", "Idempotency-Key"])
def test_a_header_that_names_something_has_a_limit(api: Api, header: str) -> None:
    reply = api.call("POST", JOBS, job_body(), {header: "n" * 256})
    assert (reply.status, reply.code) == (400, "bad_request")
    assert header in reply.message
    assert api.call("POST", JOBS, job_body(), {header: "n" * 255}).status == 202
