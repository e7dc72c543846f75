"""Every answer that the API's description names is given, and the checks would notice if one were described otherwise."""

from __future__ import annotations

import copy
import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup

from assay.server.openapi import document
from assay.server.routes import Route
from assay.server.table import ROUTES
from tests.server.access.keyed import Keyed
from tests.server.client import Api
from tests.server.described import CHECKS, Fuzzer, description, load
from tests.server.scenarios import elsewhere, needs_keys, request_for, request_with_key

_DOCUMENT = document(ROUTES)
NAMED = [
    (route, int(status))
    for route in ROUTES
    for status in _DOCUMENT["paths"][route.path][route.method.lower()]["responses"]
    if not elsewhere(route, int(status))
]


def ids(value: Any) -> str:
    return value.name if isinstance(value, Route) else str(value)


@pytest.fixture(scope="session")
def described(api: Api) -> dict[str, Any]:
    return description(api)


def doctored(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what gives a document in which `change` has been applied to every answer."""

    def doctor(document: dict[str, Any]) -> dict[str, Any]:
        document = copy.deepcopy(document)
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"] = change(operation["responses"])
        return document

    return doctor


def _no_status(responses: dict[str, Any]) -> dict[str, Any]:
    return {"299": next(iter(responses.values()))}


def _other_content(responses: dict[str, Any]) -> dict[str, Any]:
    for answer in responses.values():
        answer["content"] = {"application/x-other": {"schema": {}}}
    return responses


def _other_schema(responses: dict[str, Any]) -> dict[str, Any]:
    for answer in responses.values():
        for content in answer.get("content", {}).values():
            content["schema"] = {"allOf": [content["schema"], {"not": {}}]}
    return responses


def _another_header(responses: dict[str, Any]) -> dict[str, Any]:
    for answer in responses.values():
        answer["headers"]["X-Not-Sent"] = {"required": True, "schema": {"type": "string"}}
    return responses


LIES = {
    "ST103 Undocumented status code": doctored(_no_status),
    "Undocumented Content-Type": doctored(_other_content),
    "Response violates schema": doctored(_other_schema),
    "Missing required response headers": doctored(_another_header),
}
OF_JSON = {"Response violates schema"}
OF_CONTENT = {*OF_JSON, "Undocumented Content-Type"}


@pytest.fixture(scope="session")
def told(api: Api, described: dict[str, Any]) -> dict[str, Any]:
    """The API as it is described, and as it would be described by each lie."""
    return {"": load(api, described)} | {lie: load(api, doctor(described)) for lie, doctor in LIES.items()}


@pytest.mark.parametrize(("route", "status"), NAMED, ids=ids)
def test_a_described_answer_is_given_and_no_other_description_of_it_passes(
    route: Route, status: int, api: Api, keyed: Keyed, told: dict[str, Any]
) -> None:
    case, reply = _call(told[""], route, status, api, keyed)
    assert reply.status_code == status, reply.text
    case.validate_response(reply, checks=CHECKS)
    for lie in LIES:
        if (lie in OF_CONTENT and not reply.content) or (lie in OF_JSON and "json" not in reply.headers["content-type"]):
            continue
        operation = told[lie][route.path][route.method]
        with pytest.raises(FailureGroup, match=lie):
            operation.Case(path_parameters=case.path_parameters).validate_response(reply, checks=CHECKS)


def _call(schema: Any, route: Route, status: int, api: Api, keyed: Keyed) -> tuple[Any, Any]:
    with_key = needs_keys(route, status)
    asked = request_with_key(route, status, keyed) if with_key else request_for(route, status, api)
    url = keyed.api.url if with_key else api.url
    operation = schema[route.path][route.method]
    media_type = next(iter(operation.definition.raw.get("requestBody", {"content": {None: 0}})["content"]))
    wanted = {name: value for name, value in asked.path.items() if f"{{{name}}}" in route.path}
    case = operation.Case(path_parameters=wanted, query=asked.query, headers=asked.headers, media_type=media_type)
    if media_type and asked.body is not None:
        if isinstance(asked.body, bytes):
            return case, case.call(data=asked.body, base_url=url, timeout=60)
        case.body = asked.body
    return case, case.call(base_url=url, timeout=60)


def test_a_message_code_that_is_not_described_is_noticed(api: Api, described: dict[str, Any]) -> None:
    doctor = copy.deepcopy(described)
    answer = doctor["paths"]["/api/v1/evaluations/jobs/{job_id}"]["get"]["responses"]["404"]
    answer["content"]["application/json"]["schema"]["allOf"][1]["properties"]["message_code"]["enum"] = ["other"]
    _fails(Fuzzer(api, doctor), "getJob", GenerationMode.POSITIVE, "violates schema")


def test_a_member_that_is_not_described_is_noticed(api: Api, described: dict[str, Any]) -> None:
    doctor = copy.deepcopy(described)
    del doctor["components"]["schemas"]["Health"]["properties"]["build"]
    doctor["components"]["schemas"]["Health"]["required"].remove("build")
    _fails(Fuzzer(api, doctor), "health", GenerationMode.POSITIVE, "violates schema")


def test_a_refusal_of_what_is_described_as_valid_is_noticed(api: Api, described: dict[str, Any]) -> None:
    doctor = copy.deepcopy(described)
    for parameter in doctor["paths"]["/api/v1/evaluations/jobs"]["get"]["parameters"]:
        if parameter["name"] == "limit":
            parameter |= {"required": True, "schema": {"type": "string", "pattern": "^[a-z]+$"}}
    _fails(Fuzzer(api, doctor), "listJobs", GenerationMode.POSITIVE, "Schema-valid request rejected")


def test_taking_what_is_described_as_invalid_is_noticed(api: Api, described: dict[str, Any]) -> None:
    doctor = copy.deepcopy(described)
    content = doctor["paths"]["/api/v1/evaluations/providers"]["post"]["requestBody"]["content"]["application/json"]
    content["schema"] = {"type": "object", "required": ["needed"], "properties": {"needed": {"type": "integer"}}}
    _fails(Fuzzer(api, doctor), "createProvider", GenerationMode.NEGATIVE, "Schema-violating request accepted")


class _Broken(http.server.BaseHTTPRequestHandler):
    """A server with a fault."""

    def do_GET(self) -> None:
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be silent."""


@pytest.fixture
def broken() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_error_is_noticed(broken: str, described: dict[str, Any]) -> None:
    _fails(Fuzzer(Api(broken), described), "health", GenerationMode.POSITIVE, "Server error")


def _fails(fuzzer: Fuzzer, name: str, mode: GenerationMode, found: str) -> None:
    (route,) = (route for route in ROUTES if route.name == name)
    with pytest.raises(FailureGroup, match=found):
        fuzzer.ask(fuzzer.schema[route.path][route.method], mode, 20, 1)
