"""Web pages: those of this machine may use the API, all others may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.config import load
from assay.model.errors import SettingInvalid
from tests.server.client import JOBS, PROVIDERS, Api, job_body, unique
from tests.server.serving import serving

OURS = ["http://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "http://[::1]:5173", "http://app.localhost"]
OTHERS = [
    "http://evil.example",
    "https://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "null",
    "",
    "file://",
    "http://[x",
]


@pytest.mark.parametrize("origin", OURS)
def test_a_page_of_this_machine_may_read_the_answer(api: Api, origin: str) -> None:
    reply = api.get(PROVIDERS, origin=origin)
    assert reply.headers["access-control-allow-origin"] == origin
    assert "Origin" in reply.headers["vary"]
    assert "X-Global-Transaction-Id" in reply.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", OTHERS)
def test_another_page_may_not_read_the_answer(api: Api, origin: str) -> None:
    reply = api.get(PROVIDERS, origin=origin)
    assert reply.status == 200
    assert "access-control-allow-origin" not in reply.headers


def test_an_answer_without_an_origin_carries_no_cors_headers(api: Api) -> None:
    assert not [name for name in api.get(PROVIDERS).headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", [JOBS, f"{JOBS}/x", PROVIDERS, "/docs", "/nope", "//x"])
def test_a_preflight_is_answered_for_every_path(api: Api, path: str) -> None:
    asked = {"Origin": OURS[0], "Access-Control-Request-Method": "POST"}
    reply = api.call("OPTIONS", path, headers=asked)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == OURS[0]
    assert reply.headers["access-control-allow-methods"] == "GET, POST, PUT, PATCH, DELETE, OPTIONS"
    assert {"Content-Type", "Authorization", "X-Global-Transaction-Id"} <= set(
        reply.headers["access-control-allow-headers"].split(", ")
    )
    assert reply.headers["access-control-max-age"] == "3600"


def test_a_preflight_of_another_page_permits_nothing(api: Api) -> None:
    reply = api.call("OPTIONS", JOBS, headers={"Origin": OTHERS[0], "Access-Control-Request-Method": "POST"})
    assert reply.status == 204
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_options_without_an_origin_is_answered_too(api: Api) -> None:
    assert api.call("OPTIONS", JOBS).status == 204


@pytest.mark.parametrize("origin", OTHERS)
def test_another_page_cannot_submit_a_job_even_without_a_preflight(api: Api, origin: str) -> None:
    # Bodies are taken whatever their content type, so a page could send one as text/plain with no preflight at all.
    name = unique()
    reply = api.post(JOBS, job_body(name=name), origin=origin, content_type="text/plain")
    assert (reply.status, reply.code) == (403, "origin_not_allowed")
    assert api.get(f"{JOBS}?name={name}").json["total_count"] == 0


def test_a_page_of_this_machine_can_submit_a_job(api: Api) -> None:
    assert api.post(JOBS, job_body(), origin=OURS[1]).status == 202


def test_errors_can_be_read_by_a_page_of_this_machine(api: Api) -> None:
    assert api.get(f"{JOBS}/nope", origin=OURS[0]).headers["access-control-allow-origin"] == OURS[0]
    assert api.get("/nope", origin=OURS[0]).headers["access-control-allow-origin"] == OURS[0]


def test_pages_that_the_settings_name_may_use_the_api_and_no_others(tmp_path: Path) -> None:
    allowed = "https://Lab.example:8443, http://board.example"
    with serving(tmp_path, worker=False, ASSAY_ALLOWED_ORIGINS=allowed) as running:
        for origin in ("https://lab.example:8443", "http://board.example", OURS[1]):
            assert running.api.post(f"{JOBS}/x/rerun", {}, origin=origin).code == "resource_not_found"
            assert running.api.get(PROVIDERS, origin=origin).headers["access-control-allow-origin"] == origin
        for origin in ("https://lab.example", "http://lab.example:8443", "https://board.example", *OTHERS):
            assert running.api.post(f"{JOBS}/x/rerun", {}, origin=origin).code == "origin_not_allowed"


@pytest.mark.parametrize("given", ["*", "lab.example", "https://lab.example/app", "ftp://lab.example"])
def test_what_is_no_origin_is_refused_at_the_start(given: str) -> None:
    with pytest.raises(SettingInvalid, match="no origin"):
        load({}, {"ASSAY_ALLOWED_ORIGINS": given})
