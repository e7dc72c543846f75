"""Which paths and methods are answered, and how all others are."""

from __future__ import annotations

import pytest

from assay.server.table import ROUTES
from tests.server.client import JOBS, PROVIDERS, Api

OPERATIONS = [(route.method, route.path.replace("{", "").replace("}", "")) for route in ROUTES]


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/",
        "/api",
        "/api/v1",
        "/api/v1/",
        f"{JOBS}/",
        f"{PROVIDERS}/",
        f"{JOBS}/x/events/",
        "/api/v1/health/",
        "/docs/",
        "/API/V1/health",
        f"{JOBS}/x/nope",
        f"{JOBS}/a%2Fb",
        "/metrics%00",
        "/%ff",
    ],
)
def test_an_unknown_path_is_a_plain_404(api: Api, path: str) -> None:
    reply = api.get(path)
    assert (reply.status, reply.body) == (404, b"404 page not found\n")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("asked", "cleaned"),
    [
        ("//api/v1/health", "/api/v1/health"),
        ("/api//v1///health", "/api/v1/health"),
        ("/api/./v1/health", "/api/v1/health"),
        ("/api/v1/x/../health", "/api/v1/health"),
        ("/../../api/v1/health", "/api/v1/health"),
        (f"/{JOBS}?limit=1&tags=a%2Cb", f"{JOBS}?limit=1&tags=a%2Cb"),
        ("/api//a%20b%3Fc", "/api/a%20b%3Fc"),
        ("//evil.example/x", "/evil.example/x"),
        ("//", "/"),
    ],
)
def test_a_path_with_empty_or_dotted_segments_is_redirected_to_the_clean_one(api: Api, asked: str, cleaned: str) -> None:
    reply = api.get(asked)
    assert (reply.status, reply.headers["location"]) == (307, cleaned)


def test_a_redirect_can_be_followed(api: Api) -> None:
    assert api.get(api.get("//api/v1//health").headers["location"]).status == 200


def test_percent_encoded_segments_are_decoded_before_matching(api: Api) -> None:
    assert api.get("/api/v1/%68ealth").status == 200
    assert api.get(f"{PROVIDERS}/man%75al").json["resource"]["id"] == "manual"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method, path)
        for path in sorted({path for _, path in OPERATIONS})
        for method in ("HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "BREW")
        if (method, path) not in OPERATIONS
    ],
)
def test_a_method_that_a_path_does_not_have_is_a_405_in_json(api: Api, method: str, path: str) -> None:
    reply = api.call(method, path)
    assert reply.status == 405
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    if method == "HEAD":
        assert reply.body == b""
        return
    assert reply.code == "method_not_allowed"
    assert reply.message == f"The HTTP method {method} is not allowed for the API {path}."


def test_the_method_counts_before_the_key_of_a_worker(api: Api) -> None:
    assert api.get("/api/v1/workers/w/lease").status == 405
    assert api.post("/api/v1/workers/w/lease", {}).status == 401


def test_reading_events_or_posting_to_a_job_is_not_offered(api: Api) -> None:
    # Clients of the contract rely on 405 here.
    assert api.get(f"{JOBS}/x/events").status == 405
    assert api.post(f"{JOBS}/x", {}).status == 405
