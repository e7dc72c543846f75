"""Requests made from the API's own description: none may break the server, every answer must be one that is described.

`SCHEMATHESIS_EXAMPLES` is the number of requests to each operation.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from assay.server.routes import Route
from assay.server.table import ROUTES
from tests.server.acting import KEY
from tests.server.client import Api, unique

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "8"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BOUNDED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    derandomize="SCHEMATHESIS_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="session")
def described(api: Api) -> Any:
    """The API as it describes itself."""
    return schemathesis.openapi.from_url(api.url + "/openapi.yaml")


def named(route: Route) -> str:
    return route.name


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_an_answer_is_one_that_is_described(route: Route, mode: GenerationMode, described: Any) -> None:
    operation = described[route.path][route.method]
    if mode is GenerationMode.NEGATIVE and not can_be_invalid(operation):
        mode = GenerationMode.POSITIVE

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, checks=CHECKS)

    ask()


@pytest.mark.parametrize("route", [route for route in ROUTES if "{" in route.path], ids=named)
def test_an_answer_about_something_that_exists_is_one_that_is_described(route: Route, described: Any, api: Api) -> None:
    @BOUNDED
    @given(case=described[route.path][route.method].as_strategy())
    def ask(case: Any) -> None:
        known = existing(api)
        case.path_parameters = {key: known.get(key, value) for key, value in case.path_parameters.items()}
        case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, checks=CHECKS)

    ask()


def can_be_invalid(operation: Any) -> bool:
    """Say whether an operation takes anything that a request could get wrong."""
    return bool(operation.body) or bool(operation.query)


def existing(api: Api) -> dict[str, str]:
    """Return ids of things that exist, new ones each time, since a case may delete them."""
    name = unique("p")
    made = api.post("/api/v1/evaluations/providers", {"name": name, "benchmarks": [{"id": "b0"}]})
    collection = {"name": name, "category": "c", "benchmarks": [{"id": "b0", "provider_id": "manual"}]}
    kept = api.post("/api/v1/evaluations/collections", collection)
    job_id = api.submit()
    assert api.report(job_id, "completed", metrics={"a": 1}).status == 204  # a log that is followed then ends
    return {
        "job_id": job_id,
        "benchmark_index": "0",
        "provider_id": made.json["resource"]["id"],
        "collection_id": kept.json["resource"]["id"],
        "worker": "w",
    }
