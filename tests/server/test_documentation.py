"""The API describes itself, wholly and truly."""

from __future__ import annotations

import copy
import html
import inspect
import re
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from assay.model.errors import OriginNotAllowed
from assay.model.shapes import LARGEST
from assay.server import examples
from assay.server.routes import Route, Scope
from assay.server.table import ROUTES
from tests.server.access.keyed import Keyed
from tests.server.acting import Worker
from tests.server.client import JOBS, Api

BY_NAME = {route.name: route for route in ROUTES}


def named(route: Route) -> str:
    return route.name


@pytest.fixture(scope="module")
def described(api: Api) -> dict[str, Any]:
    """The OpenAPI document that the server serves."""
    return dict(api.get("/openapi.yaml", accept="application/json").json)


@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_a_route_is_documented(route: Route, described: dict[str, Any]) -> None:
    operation = described["paths"][route.path][route.method.lower()]
    assert operation["operationId"] == route.name
    assert operation["summary"].endswith(".")
    assert len(operation["summary"]) > 10
    assert operation["tags"] != []
    statuses = {int(status) for status in operation["responses"]}
    assert [status for status in statuses if status < 300]
    assert [status for status in statuses if status >= 400] or route.tag == "service"
    assert all(answer["description"] for answer in operation["responses"].values())


@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_every_parameter_says_what_it_is(route: Route, described: dict[str, Any]) -> None:
    parameters = described["paths"][route.path][route.method.lower()]["parameters"]
    assert {p["name"] for p in parameters if p["in"] == "path"} == {
        part[1:-1] for part in route.path.split("/") if part[:1] == "{"
    }
    assert all(parameter["required"] for parameter in parameters if parameter["in"] == "path")
    assert all(parameter.get("description") for parameter in parameters)
    assert all(parameter["schema"]["type"] in ("string", "integer", "boolean") for parameter in parameters)


def test_names_of_operations_are_unique() -> None:
    assert len(BY_NAME) == len(ROUTES)


def test_the_document_has_every_route_and_no_other(described: dict[str, Any]) -> None:
    listed = {(method.upper(), path) for path, operations in described["paths"].items() for method in operations}
    assert listed == {(route.method, route.path) for route in ROUTES}


def test_yaml_and_json_say_the_same(api: Api, described: dict[str, Any]) -> None:
    reply = api.get("/openapi.yaml")
    assert reply.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(reply.body) == described
    assert described["openapi"].startswith("3.1.")


def test_every_error_of_the_table_is_in_the_document_with_its_code(described: dict[str, Any]) -> None:
    for route in ROUTES:
        responses = described["paths"][route.path][route.method.lower()]["responses"]
        for error in route.errors:
            assert f"`{error.code}`" in responses[str(error.status)]["description"], (route.name, error.code)


def test_whatever_changes_something_says_that_foreign_pages_may_not(described: dict[str, Any]) -> None:
    for route in ROUTES:
        responses = described["paths"][route.path][route.method.lower()]["responses"]
        told = f"`{OriginNotAllowed.code}`" in responses["403"]["description"]
        assert told is (route.method != "GET"), route.name


def test_what_needs_a_key_says_which_scope_and_how_it_is_refused(described: dict[str, Any]) -> None:
    for route in ROUTES:
        operation = described["paths"][route.path][route.method.lower()]
        if route.scope is Scope.OPEN:
            assert "security" not in operation
            continue
        assert {"key": [route.scope.value]} in operation["security"]
        assert ({} in operation["security"]) is (route.scope not in (Scope.WORK, Scope.KEYS_MANAGE))
        for status, code in ((401, "unauthorized"), (401, "invalid_key"), (403, "scope_missing"), (403, "key_mismatch")):
            assert f"`{code}`" in operation["responses"][str(status)]["description"]


def test_a_body_is_described_by_the_shape_that_reads_it(described: dict[str, Any]) -> None:
    submitted = described["paths"]["/api/v1/evaluations/jobs"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    assert submitted["required"] == ["name", "model"]
    assert submitted["properties"]["benchmarks"]["items"]["required"] == ["id", "provider_id"]
    assert submitted["properties"]["timeout_seconds"] == {"type": ["number", "null"], "minimum": 0, "maximum": LARGEST}


@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_the_page_mentions_every_route(api: Api, route: Route) -> None:
    assert f"<b>{route.method}</b>{html.escape(route.path)}" in _page(api)
    assert html.escape(route.summary).replace("`", "") in _page(api).replace("<code>", "").replace("</code>", "")


def test_the_page_is_whole_without_anything_from_elsewhere(api: Api) -> None:
    reply = api.get("/docs")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache, no-store, must-revalidate"
    assert (reply.headers["pragma"], reply.headers["expires"]) == ("no-cache", "0")
    assert "http://" not in reply.text
    assert "https://" not in reply.text
    assert "<script" not in reply.text


def _page(api: Api) -> str:
    return api.get("/docs").text


def test_the_document_is_valid_openapi(described: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(described).validate()
    for name, schema in described["components"]["schemas"].items():
        assert schema.get("type") == "object" or "anyOf" in schema or "enum" in schema, name


@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_every_header_that_a_route_looks_at_is_described(route: Route, described: dict[str, Any]) -> None:
    parameters = described["paths"][route.path][route.method.lower()]["parameters"]
    headers = {parameter["name"] for parameter in parameters if parameter["in"] == "header"}
    assert "X-Global-Transaction-Id" in headers
    assert ({"X-Tenant", "X-User"} <= headers) is (route.scope not in (Scope.OPEN, Scope.WORK))
    looked_at = set(re.findall(r'headers\.get\("([a-z-]+)"', inspect.getsource(route.handler)))
    assert looked_at - {"content-type", "accept"} <= {name.lower() for name in headers}


def test_a_page_of_a_list_and_its_items_have_schemas(described: dict[str, Any]) -> None:
    for route in ROUTES:
        responses = described["paths"][route.path][route.method.lower()]["responses"]
        for status, answer in responses.items():
            for media_type, content in answer.get("content", {}).items():
                assert media_type != "application/json" or content["schema"] or route.name == "openapi", (route.name, status)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.example is not None], ids=named)
def test_an_example_is_valid_and_accepted(route: Route, described: dict[str, Any], api: Api, keyed: Keyed) -> None:
    content = described["paths"][route.path][route.method.lower()]["requestBody"]["content"]["application/json"]
    Draft202012Validator({**content["schema"], "components": described["components"]}).validate(content["example"])
    path, body, headers = route.path, copy.deepcopy(content["example"]), {}
    if route.scope is Scope.WORK:
        worker = Worker(api)
        held = worker.take(api) if "{run_id}" in path else None
        path = path.format(worker=worker.name, run_id=held.run_id if held else "")
        body |= {name: value for name, value in (("incarnation", worker.incarnation),) if name in body}
        body |= {"fence": held.fence} if held else {}
        headers = worker.api.headers
    elif route.scope is Scope.KEYS_MANAGE:
        api = keyed.admin
    else:
        ids = {"job_id": api.post(JOBS, examples.JOB).json["resource"]["id"]} | {
            f"{kind}_id": api.post(f"/api/v1/evaluations/{kind}s", example).json["resource"]["id"]
            for kind, example in examples.OF_RESOURCE.items()
        }
        ids["webhook_id"] = api.post("/api/v1/webhooks", examples.WEBHOOK).json["resource"]["id"]
        path = path.format(**ids)
    reply = api.call(route.method, path, body, headers)
    assert reply.status in route.answers, reply.text


def test_every_route_with_a_json_body_has_an_example() -> None:
    assert [route.name for route in ROUTES if not isinstance(route.body, str | None) and route.example is None] == []
