"""Known differences of everything but the documents of jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from assay.server.evalhub.jobs import LIST_PARAMETERS
from transcripts.normal import Answer
from transcripts.parsing import Exchange, Row
from transcripts.reasons import Case, Reason, Take, refused, same, told

_PARSER = ("json: cannot unmarshal", "invalid character", "unexpected end of JSON input")
_HEALTH = {"build", "checks", "pid"}
_COMMIT = {"git_hash"}
"""What health says besides: the second only where the installation knows it."""

_SNAKE = {
    "image": "Image",
    "entrypoint": "Entrypoint",
    "cpu_request": "CPURequest",
    "memory_request": "MemoryRequest",
    "cpu_limit": "CPULimit",
    "memory_limit": "MemoryLimit",
    "env": "Env",
}
_AMOUNTS = ("100m", "128Mi", "1", "1Gi")
_SORTS = (
    "The query parameter 'sort_by' is not valid. Allowed values are: 'name|created_at|updated_at|pinned_order|run_count'."
)
_STRICTER = (
    ("D18", '{"cpu": {"request": "zzz"}}', "hardware_config.cpu.request", "quantity"),
    ("D18", '{"gpu": {"count": -1}}', "hardware_config.gpu.count", "min"),
    ("E8", "https://u:p@example.com", "benchmarks[0].test_data_ref.git.url", "git_clone_url"),
    ("E9", '"sub_path": "/../x"', "benchmarks[0].test_data_ref.pvc.sub_path", "relative_path"),
)
"""Values that the peer takes, and the member and the rule for which Assay refuses them."""

_SPOILING = {
    ("/name", ""): ("name", "required"),
    ("/category", ""): ("category", "required"),
    ("/benchmarks", "[]"): ("benchmarks", "min"),
    ("/tags/-", "a,b"): ("tags[2]", "tagname"),
}
"""Paths and values after which a collection breaks a rule, and which."""

_WRONG_TYPES = {
    ("/name", "5"): "name: expected string, found number",
    ("/benchmarks", "oops"): "benchmarks: expected array, found string",
}
_TEXTS = {
    "invalid_json_request": "The request JSON is invalid: '{}'. Please check the request and try again.",
    "request_validation_failed": "The request validation failed: '{}'. Please check the request and try again.",
}


def _detail(case: Case, theirs: Answer, ours: Answer) -> bool:
    if told(ours, "detail") and ours.body["detail"] == ours.body.get("message") and not told(theirs, "detail"):
        del ours.body["detail"]
        return True
    return False


def _request_id(case: Case, theirs: Answer, ours: Answer) -> bool:
    return "x-global-transaction-id" not in theirs.headers and bool(ours.headers.pop("x-global-transaction-id", None))


def _no_content(case: Case, theirs: Answer, ours: Answer) -> bool:
    return theirs.status == ours.status == 204 and bool(theirs.headers.pop("content-type", None))


def _openapi(case: Case, theirs: Answer, ours: Answer) -> bool:
    asked = isinstance(case, Exchange) and case.target == "/openapi.yaml"
    return asked and (theirs.status, ours.status) == (500, 200) and same(theirs, ours)


def _health(case: Case, theirs: Answer, ours: Answer) -> bool:
    if not (isinstance(case, Exchange) and case.target == "/api/v1/health" and ours.status == 200):
        return False
    if not ours.body.keys() >= _HEALTH or ours.body["checks"] != {"store": "ok"}:
        return False
    ours.body = {name: value for name, value in ours.body.items() if name not in _HEALTH | _COMMIT}
    return True


def _parser_text(case: Case, theirs: Answer, ours: Answer) -> bool:
    codes = {told(theirs, "message_code"), told(ours, "message_code")}
    text, own = told(theirs, "message"), told(ours, "message")
    leaks = any(word in own for word in ("api.", "Go ", "json:"))
    before, _, after = _TEXTS["invalid_json_request"].partition("{}")
    framed = isinstance(case, Row) or (own.startswith(before) and own.endswith(after))  # tables show what is in between
    known = framed and not leaks and text != own
    if codes != {"invalid_json_request"} or not known or not any(word in text for word in _PARSER):
        return False
    ours.body["message"] = text
    return True


def _null_list(case: Case, theirs: Answer, ours: Answer) -> bool:
    if isinstance(theirs.body, dict) and "benchmarks" in theirs.body and theirs.body["benchmarks"] is None:
        theirs.body["benchmarks"] = []
        return True
    return False


def _log_remains(case: Case, theirs: Answer, ours: Answer) -> bool:
    """A log that a refused cancel has removed."""
    refused = isinstance(case, Exchange) and case.title == "logs after the refused cancel: gone"
    return refused and _only_lines_differ(theirs, ours)


def _log_of_entry(case: Case, theirs: Answer, ours: Answer) -> bool:
    """The log of a system provider, whose command is another here."""
    asked = isinstance(case, Exchange) and case.title == "its log"
    return asked and _only_lines_differ(theirs, ours)


def _only_lines_differ(theirs: Answer, ours: Answer) -> bool:
    kept = [[line for line in str(answer.body).splitlines() if line not in ("<line>", "")] for answer in (theirs, ours)]
    if theirs.body == ours.body or kept[0] != kept[1]:
        return False
    ours.body = theirs.body
    return True


def _trailer(case: Case, theirs: Answer, ours: Answer) -> bool:
    return "trailer" not in ours.headers and theirs.headers.pop("trailer", None) == "X-Log-Truncated"


def _job_order(case: Case, theirs: Answer, ours: Answer) -> bool:
    return ours.headers.pop("order", None) == "newest first"


def _sort_by(case: Case, theirs: Answer, ours: Answer) -> bool:
    known = (theirs.status, ours.status) == (200, 400) and refused(ours, "query_parameter_value_invalid", _SORTS)
    return known and same(theirs, ours)


def _no_limit(case: Case, theirs: Answer, ours: Answer) -> bool:
    if isinstance(case, Row):
        known = told(theirs, "message") == "limit=0 next=…?limit=0&offset=0" and refused(ours, "", "limit=0 next=-")
        return known and same(theirs, ours)
    if "limit=0" not in case.target or ours.status != 200 or "next" in ours.body:
        return False
    body = ours.body
    if told(theirs, "message_code") == "query_failed":
        whole = body["limit"] == 0 and body["total_count"] == len(body["items"]) + 5
        return whole and body["first"] == {"href": case.target} and same(theirs, ours)
    return theirs.body.get("next", {}).get("href", "").endswith("offset=0") and bool(theirs.body.pop("next"))


def _checked_patch(case: Case, theirs: Answer, ours: Answer) -> bool:
    of_collection = case.table == "collection PATCH" if isinstance(case, Row) else "/collections/" in case.target
    given = _patch(case)
    if not (of_collection and isinstance(given, list) and len(given) == 1 and ours.status == 400):
        return False
    change = (given[0].get("path", ""), str(given[0].get("value")))
    if theirs.status == 200 and change in _SPOILING:
        code, (path, tag) = "request_validation_failed", _SPOILING[change]
        text = f"Key: 'CollectionConfig.{path}' Error:Field validation for '{path}' failed on the '{tag}' tag"
    elif told(theirs, "message_code") == "unknown_error":
        leaked = told(theirs, "message").removeprefix("An unknown error occurred: ").removesuffix(".")
        code, text = "invalid_json_request", _WRONG_TYPES.get(change, leaked)
    else:
        return False
    return (refused(ours, code, text) or refused(ours, code, _TEXTS[code].format(text))) and same(theirs, ours)


def _patch(case: Case) -> Any:
    """Return the body of a PATCH; None for other requests."""
    if isinstance(case, Row):
        return json.loads(case.change.strip("`")) if case.table.endswith("PATCH") else None
    return json.loads(case.request.body) if case.method == "PATCH" else None


def _own_order(case: Case, theirs: Answer, ours: Answer) -> bool:
    if told(theirs, "message_code") == "read_only_collection" and ours.status == 200:
        changed = [ours.body.get(operation["path"].strip("/")) == operation["value"] for operation in _patch(case) or ()]
        return ours.body["resource"].get("owner") != "system" and changed == [True] and same(theirs, ours)
    if (theirs.status, ours.status) != (201, 201) or told(ours, "curation_order"):
        return False
    return bool(theirs.body.pop("curation_order", 0))


def _merge_patch(case: Case, theirs: Answer, ours: Answer) -> bool:
    given = _patch(case)
    if not isinstance(given, dict) or (theirs.status, ours.status) != (400, 200):
        return False
    return (refused(ours, "", "accepted") or given.items() <= ours.body.items()) and same(theirs, ours)


def _both_spellings(case: Case, theirs: Answer, ours: Answer) -> bool:
    found = False
    for before, after in _objects(theirs.body, ours.body):
        if "CPURequest" not in after or "CPURequest" not in before:
            continue
        for snake, name in _SNAKE.items():
            if after.pop(snake, None) == after[name]:
                found = True
                if not before[name] and after[name] in _AMOUNTS:  # dropped, since it was sent in the other spelling
                    after[name] = ""
    return found


def _objects(before: Any, after: Any) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the objects that are at the same place in two values."""
    if isinstance(before, dict) and isinstance(after, dict):
        yield before, after
        for name in before.keys() & after.keys():
            yield from _objects(before[name], after[name])
    elif isinstance(before, list) and isinstance(after, list):
        for pair in zip(before, after, strict=False):
            yield from _objects(*pair)


def _no_such_index(case: Case, theirs: Answer, ours: Answer) -> bool:
    missing = ours.status == 404 and refused(ours, "resource_not_found", "The benchmark resource '9' was not found.")
    return missing and theirs.status == 200 and theirs.body == "" and same(theirs, ours)


def _tenantless(case: Case, theirs: Answer, ours: Answer) -> bool:
    if not (isinstance(case, Exchange) and "x-tenant" not in case.request.headers and isinstance(theirs.body, dict)):
        return False
    resource = theirs.body.get("resource", {})
    text = f"The evaluation job resource '{resource.get('id')}' was not found."
    known = (theirs.status, ours.status) == (200, 404) and refused(ours, "resource_not_found", text)
    return bool(resource.get("tenant")) and known and same(theirs, ours)


def _posing(case: Case, theirs: Answer, ours: Answer) -> bool:
    if not (isinstance(case, Exchange) and isinstance(theirs.body, dict)):
        return False
    resource = theirs.body.get("resource", {})
    if resource.get("owner") != "system" or not resource.get("tenant"):
        return False
    if theirs.status == 201:
        known = refused(ours, "reserved_user", "The user 'system' is reserved for the catalogue. Send another X-User.")
    else:  # it was not made
        known = refused(ours, "resource_not_found", f"The provider resource '{resource['id']}' was not found.")
    return known and same(theirs, ours)


def _stricter(ref: str) -> Take:
    def take(case: Case, theirs: Answer, ours: Answer) -> bool:
        if not (isinstance(case, Row) and case.table == "job" and (theirs.status, ours.status) == (202, 400)):
            return False
        for of, value, path, tag in _STRICTER:
            name = path.rpartition(".")[2]
            text = f"Key: 'EvaluationJobConfig.{path}' Error:Field validation for '{name}' failed on the '{tag}' tag"
            if of == ref and value in case.change and refused(ours, "request_validation_failed", text):
                return same(theirs, ours)
        return False

    return take


def _identity(case: Case, theirs: Answer, ours: Answer) -> bool:
    missing = told(theirs, "message_code") in ("missing_tenant_header", "missing_user_header")
    return missing and ours.status == 200 and isinstance(ours.body.get("items"), list) and same(theirs, ours)


def _metrics(case: Case, theirs: Answer, ours: Answer) -> bool:
    asked = isinstance(case, Exchange) and case.target == "/metrics"
    return asked and (theirs.status, ours.status) == (404, 200) and same(theirs, ours)


def _own_filters(case: Case, theirs: Answer, ours: Answer) -> bool:
    if told(theirs, "message_code") != "query_bad_parameter":
        return False
    before, _, listed = told(theirs, "message").removesuffix(".").partition("Allowed parameters are: ")
    own = ", ".join(LIST_PARAMETERS)
    longer = own.startswith(f"{listed}, ") and refused(
        ours, "query_bad_parameter", f"{before}Allowed parameters are: {own}."
    )
    taken = "parameter 'collection_id'" in told(theirs, "message") and refused(ours, "", "limit=50 next=-")
    return (longer or taken) and same(theirs, ours)


def _own_catalogue(case: Case, theirs: Answer, ours: Answer) -> bool:
    """Entries of the catalogue: what they say is Assay's own. That they are the system's is compared, and of what kind each
    of their members is."""
    if not (isinstance(case, Exchange) and isinstance(theirs.body, dict) and theirs.status == ours.status == 200):
        return False
    items = [answer.body.get("items", [answer.body]) for answer in (theirs, ours)]
    if len(items[0]) != len(items[1]) or not items[0]:
        return False
    if not all(item.get("resource", {}).get("owner") == "system" for item in items[0] + items[1]):
        return False
    if not all(map(_alike, *items)):
        return False
    if "items" in theirs.body:
        ours.body["items"] = theirs.body["items"]
        if "scope=system" in case.target:
            ours.body["total_count"] = theirs.body["total_count"]
        return True
    resource = ours.body["resource"]
    ours.body = {**theirs.body, "resource": resource}
    return True


def _alike(before: Any, after: Any) -> bool:
    """Say whether two values are of one form: members with one name are of one kind, and a list is empty in both or none."""
    if isinstance(before, dict) and isinstance(after, dict):
        return all(_alike(before[name], after[name]) for name in before.keys() & after.keys())
    if isinstance(before, list) and isinstance(after, list):
        return bool(before) == bool(after) and all(_alike(before[0], item) for item in after)
    kinds = [int if isinstance(value, float) else type(value) for value in (before, after)]
    return kinds[0] is kinds[1]


ANSWERS = (
    Reason("D14", "errors carry `detail`", _detail),
    Reason("request ids", "every answer has a request id", _request_id),
    Reason("no content", "an answer without a body has no Content-Type", _no_content),
    Reason("D15", "the OpenAPI document is there", _openapi),
    Reason("B14", "health looks at the database and names the build", _health),
    Reason("D13", "the parser's words are Assay's own", _parser_text),
    Reason("B16", "lists are never null", _null_list),
    Reason("B6", "a refused cancel removes nothing", _log_remains),
    Reason("log limit", "logs are bounded when they are written, so no trailer is needed", _trailer),
    Reason("D1", "jobs come newest first", _job_order),
    Reason("D3", "sort_by sorts", _sort_by),
    Reason("D4", "limit=0 has no next page, and an offset", _no_limit),
    Reason("D6", "patches of collections are checked", _checked_patch),
    Reason("D7", "an object is a merge patch", _merge_patch),
    Reason("D8", "runtime.k8s is understood and shown in both spellings", _both_spellings),
    Reason("D10", "logs of a benchmark that does not exist are not found", _no_such_index),
    *(
        Reason(ref, why, _stricter(ref))
        for ref, why in (
            ("D18", "amounts and counts that no cluster can give are refused"),
            ("E8", "user names in git URLs are refused"),
            ("E9", "`..` in paths is refused"),
        )
    ),
    Reason("D19", "the order of curated collections is for the catalogue alone", _own_order),
    Reason("E1", "without a tenant only what has no tenant is seen", _tenantless),
    Reason("E2", "nobody poses as the system", _posing),
    Reason("identity", "no mode asks for X-Tenant and X-User", _identity),
    Reason("metrics", "metrics are on the API's port", _metrics),
    Reason("filters", "jobs can be filtered by more", _own_filters),
    Reason("catalogue", "the catalogue's entries are Assay's own", _own_catalogue),
    Reason("catalogue", "the catalogue's commands are Assay's own", _log_of_entry),
)
