"""The OpenAPI 3.1 document, made from the route table and the shapes that it names."""

from __future__ import annotations

import http
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from assay import __version__
from assay.model.access import OF_ALL_TENANTS, UNCHECKED, Cost
from assay.model.errors import (
    AddressBanned,
    AddressNotAllowed,
    AssayError,
    BadRequest,
    InvalidKey,
    KeyMismatch,
    KeyOfOneTenant,
    OriginNotAllowed,
    RateLimited,
    ScopeMissing,
    Unauthorised,
)
from assay.server.answers import DOCUMENTS
from assay.server.origins import SAFE_METHODS
from assay.server.routes import Described, Header, Query, Route, Scope
from assay.server.services import LONGEST_NAME

_DESCRIPTIONS = {304: "Nothing has changed", 503: "The store does not answer"}
_IN_PATH = {
    "digest": "`sha256:` and 64 hexadecimal digits",
    "job_id": "id of a job",
    "benchmark_index": "place of a benchmark in its job, from 0",
    "name": "name of an artifact",
    "provider_id": "id of a provider",
    "collection_id": "id of a collection",
    "worker": "name of a worker",
    "run_id": "id of a run",
    "key_id": "id of an API key: what stands between its two underscores",
    "webhook_id": "id of a webhook",
}
_REQUEST_ID = Header("X-Global-Transaction-Id", "the request's id in logs and errors; one is made where none is sent")
_NAME = {"type": "string", "maxLength": LONGEST_NAME, "pattern": r"^[^\x00-\x1f\x7f]*$"}
_CALLER = (
    Header("X-Tenant", "the tenant that asks; without it, the rows that belong to none", schema=_NAME),
    Header("X-User", "who asks; becomes the owner of what is made", schema=_NAME),
)
_RETRY_AFTER = Header("Retry-After", "seconds after which the same request may succeed")
_ANSWERED_ID = Header("X-Global-Transaction-Id", "the request's id")
_KEYED = (BadRequest, Unauthorised, InvalidKey, ScopeMissing, KeyMismatch, AddressBanned)
"""What a request may be refused with before its handler sees it."""
_JSON = "application/json"


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, routes)
    structs = {one for route in routes for one in (route.body, *route.answers.values()) if isinstance(one, type)}
    _, of_structs = msgspec.json.schema_components(
        sorted(structs, key=lambda one: one.__name__), ref_template="#/components/schemas/{name}"
    )
    named = {one.name: one.shape.schema(written=True) for one in DOCUMENTS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Assay",
            "version": __version__,
            "summary": "A self-hosted evaluation service",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "the server that answered with this document"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": named | of_structs,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "an API key with the scope that is named"}
            },
        },
    }


def _operation(route: Route, routes: Sequence[Route]) -> dict[str, Any]:
    out: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [*_in_path(route), *map(_query, route.query), *map(_header, _headers(route))],
        "responses": {str(status): answer for status, answer in sorted(_responses(route, routes).items())},
    }
    if route.body is not None:
        content = _content(route.body, written=False)
        if route.example is not None:
            content[_JSON]["example"] = route.example
        out["requestBody"] = {"required": route.body_required, "content": content}
    if route.scope is not Scope.OPEN:  # while there is no key, most calls need none
        out["security"] = [*([{}] if route.scope in UNCHECKED else []), {"key": [route.scope.value]}]
    return out


def _in_path(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _IN_PATH[name],
            "schema": {"type": "string", "minLength": 1, "pattern": "^[^/]+$"},
        }
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def _query(query: Query) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": query.kind}
    if query.one_of:
        schema["enum"] = list(query.one_of)
    if query.format:
        schema["format"] = query.format
    if query.kind == "integer":
        schema |= {"minimum": query.least, "maximum": query.most}
    return {"name": query.name, "in": "query", "description": query.purpose, "schema": schema}


def _headers(route: Route) -> Iterable[Header]:
    return (*(() if route.scope in (Scope.OPEN, Scope.WORK) else _CALLER), *route.headers, _REQUEST_ID)


def _header(header: Header) -> dict[str, Any]:
    return {"name": header.name, "in": "header", "description": header.purpose, "schema": dict(header.schema)}


def _responses(route: Route, routes: Sequence[Route]) -> dict[int, dict[str, Any]]:
    out = {}
    for status, described in route.answers.items():
        headers = route.answer_headers if status < 400 else ()
        answer = _answer(_DESCRIPTIONS.get(status, http.HTTPStatus(status).phrase), (*headers, _ANSWERED_ID))
        if described:
            answer["content"] = _content(described, written=True)
        if links := _links(route, routes):
            answer["links"] = links
        out[status] = answer
    by_status: dict[int, list[type[AssayError]]] = {}
    keyed = () if route.scope is Scope.OPEN else _KEYED
    of_all = (KeyOfOneTenant,) if route.scope in OF_ALL_TENANTS else ()
    guarded = () if route.method in SAFE_METHODS else (OriginNotAllowed,)
    limited = () if route.cost_class is Cost.FREE else (RateLimited,)
    for error in (*route.errors, *keyed, *of_all, *guarded, *limited, AddressNotAllowed):
        by_status.setdefault(error.status, []).append(error)
    for status, errors in by_status.items():
        out.setdefault(status, _refusal(errors))
    return out


def _refusal(errors: list[type[AssayError]]) -> dict[str, Any]:
    """Return the answer that refuses a request with one of several errors of one status."""
    codes = list(dict.fromkeys(error.code for error in errors))
    headers = [_RETRY_AFTER] if any(error.retry_after for error in errors) else []
    if any("WWW-Authenticate" in error.headers for error in errors):
        headers.append(Header("WWW-Authenticate", "how to send a key (RFC 6750)"))
    answer = _answer("Codes: " + ", ".join(f"`{code}`" for code in codes), (*headers, _ANSWERED_ID))
    one_of = {"properties": {"message_code": {"enum": codes}}}
    answer["content"] = {_JSON: {"schema": {"allOf": [{"$ref": "#/components/schemas/Error"}, one_of]}}}
    return answer


def _answer(description: str, headers: Iterable[Header]) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {
            header.name: {"description": header.purpose, "required": header.always, "schema": {"type": "string"}}
            for header in headers
        },
    }


def _links(route: Route, routes: Sequence[Route]) -> dict[str, Any]:
    """Return the links from what `route` makes to every operation on it."""
    if not route.makes:
        return {}
    links = {}
    for other in routes:
        needed = re.findall(r"{(\w+)}", other.path)
        if needed[:1] == [route.makes] and set(needed[1:]) <= {"benchmark_index"}:
            parameters: dict[str, Any] = {route.makes: "$response.body#/resource/id"}
            links[other.name] = {
                "operationId": other.name,
                "parameters": parameters | dict.fromkeys(needed[1:], "0"),
            }
    return links


def _content(described: Described, *, written: bool) -> dict[str, Any]:
    if isinstance(described, str | tuple):
        kinds = (described,) if isinstance(described, str) else described
        return {kind: {"schema": _schema_of(kind)} for kind in kinds}
    if isinstance(described, type):
        return {_JSON: {"schema": {"$ref": f"#/components/schemas/{described.__name__}"}}}
    return {_JSON: {"schema": described.schema(written=written)}}


def _schema_of(media_type: str) -> dict[str, Any]:
    """Return the schema of bytes of a media type: of server-sent events that of each one, else of the whole."""
    if media_type == "text/event-stream":
        fields = {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}}
        return {"type": "object", "properties": fields, "required": ["event", "data"]}
    return {"type": "string"} if media_type.startswith("text/") else {}
