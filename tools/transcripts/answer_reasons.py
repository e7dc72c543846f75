"""Known differences of everything but the documents of jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from transcripts.normal import Answer
from transcripts.parsing import Exchange, Row
from transcripts.reasons import Case, Reason, same, told

_PARSER = ("json: cannot unmarshal", "invalid character", "unexpected end of JSON input")
_HEALTH = ("build", "checks", "pid")
_SNAKE = {
    "cpu_request": "CPURequest",
    "memory_request": "MemoryRequest",
    "cpu_limit": "CPULimit",
    "memory_limit": "MemoryLimit",
}
_OWN_FILTERS = ", model, collection_id, created_after, created_before."
_STRICTER = {
    "https://u:p@example.com": ("E8", "failed on the 'git_clone_url' tag"),
    '"sub_path": "/../x"': ("E9", "failed on the 'relative_path' tag"),
    '"gpu": {"count": -1}': ("D18", "Field validation for 'count' failed on the 'min' tag"),
}
"""Values that the peer takes, and the words with which Assay refuses them."""


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
    added = [ours.body.pop(name, None) for name in _HEALTH]
    return None not in added


def _parser_text(case: Case, theirs: Answer, ours: Answer) -> bool:
    codes = {told(theirs, "message_code"), told(ours, "message_code")}
    text, own = told(theirs, "message"), told(ours, "message")
    leaks = any(word in own for word in ("api.", "Go ", "json:"))
    if codes != {"invalid_json_request"} or text == own or leaks or not any(word in text for word in _PARSER):
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
    refused = told(ours, "message").startswith("The query parameter 'sort_by' is not valid.")
    return refused and (theirs.status, ours.status) == (200, 400) and same(theirs, ours)


def _no_limit(case: Case, theirs: Answer, ours: Answer) -> bool:
    if isinstance(case, Row):
        if told(theirs, "message") == "limit=0 next=…?limit=0&offset=0" and told(ours, "message") == "limit=0 next=-":
            return same(theirs, ours)
        return False
    if "limit=0" not in case.target or ours.status != 200:
        return False
    if told(theirs, "message_code") == "query_failed":
        return same(theirs, ours)
    if theirs.body.get("next", {}).get("href", "").endswith("offset=0") and "next" not in ours.body:
        del theirs.body["next"]
        return True
    return False


def _checked_patch(case: Case, theirs: Answer, ours: Answer) -> bool:
    if isinstance(case, Row):
        of_collection = case.table == "collection PATCH"
    else:
        of_collection = case.method == "PATCH" and "/collections/" in case.target
    taken = theirs.status == 200 and told(ours, "message_code") == "request_validation_failed"
    broken = told(theirs, "message_code") == "unknown_error" and told(ours, "message_code") == "invalid_json_request"
    return of_collection and ours.status == 400 and (taken or broken) and same(theirs, ours)


def _merge_patch(case: Case, theirs: Answer, ours: Answer) -> bool:
    if isinstance(case, Row):
        body = case.change.strip("`") if case.table.endswith("PATCH") else ""
    else:
        body = case.request.body if case.method == "PATCH" else ""
    given = json.loads(body) if body else []
    return isinstance(given, dict) and (theirs.status, ours.status) == (400, 200) and same(theirs, ours)


def _both_spellings(case: Case, theirs: Answer, ours: Answer) -> bool:
    found = False
    for before, after in _objects(theirs.body, ours.body):
        if "CPURequest" not in after or "CPURequest" not in before:
            continue
        for snake, name in _SNAKE.items():
            if after.pop(snake, None) == after[name]:
                found = True
                if not before[name]:  # dropped, since it was sent in the other spelling
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
    missing = told(ours, "message_code") == "resource_not_found" and told(ours, "message").startswith(
        "The benchmark resource"
    )
    return missing and theirs.status == 200 and theirs.body == "" and same(theirs, ours)


def _tenantless(case: Case, theirs: Answer, ours: Answer) -> bool:
    if not (isinstance(case, Exchange) and "x-tenant" not in case.request.headers and isinstance(theirs.body, dict)):
        return False
    of_tenant = bool(theirs.body.get("resource", {}).get("tenant"))
    return of_tenant and (theirs.status, ours.status) == (200, 404) and same(theirs, ours)


def _posing(case: Case, theirs: Answer, ours: Answer) -> bool:
    if not (isinstance(case, Exchange) and isinstance(theirs.body, dict)):
        return False
    resource = theirs.body.get("resource", {})
    posed = resource.get("owner") == "system" and bool(resource.get("tenant"))
    refused = told(ours, "message_code") == "reserved_user" or (theirs.status, ours.status) == (200, 404)
    return posed and refused and same(theirs, ours)


def _stricter(ref: str) -> Any:
    def take(case: Case, theirs: Answer, ours: Answer) -> bool:
        if not (isinstance(case, Row) and case.table == "job" and (theirs.status, ours.status) == (202, 400)):
            return False
        found = [
            words for value, (of, words) in _STRICTER.items() if of == ref and value in f'"{case.change}'.replace("`", '"')
        ]
        return bool(found) and found[0] in told(ours, "message") and same(theirs, ours)

    return take


def _own_filters(case: Case, theirs: Answer, ours: Answer) -> bool:
    if told(theirs, "message_code") != "query_bad_parameter":
        return False
    longer = told(ours, "message") == told(theirs, "message").removesuffix(".") + _OWN_FILTERS
    taken = ours.status == 200 and "parameter 'collection_id'" in told(theirs, "message")
    return (longer or taken) and same(theirs, ours)


def _own_catalogue(case: Case, theirs: Answer, ours: Answer) -> bool:
    """Entries of the catalogue: what they say is Assay's own; that they are the system's is compared."""
    if not (isinstance(case, Exchange) and isinstance(theirs.body, dict) and theirs.status == ours.status == 200):
        return False
    items = [answer.body.get("items", [answer.body]) for answer in (theirs, ours)]
    if len(items[0]) != len(items[1]) or not items[0]:
        return False
    if not all(item.get("resource", {}).get("owner") == "system" for item in items[0] + items[1]):
        return False
    if "items" in theirs.body:
        ours.body["items"] = theirs.body["items"]
        if "scope=system" in case.target:
            ours.body["total_count"] = theirs.body["total_count"]
        return True
    resource = ours.body["resource"]
    ours.body = {**theirs.body, "resource": resource}
    return True


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
            ("D18", "a count below zero is refused"),
            ("E8", "user names in git URLs are refused"),
            ("E9", "`..` in paths is refused"),
        )
    ),
    Reason("E1", "without a tenant only what has no tenant is seen", _tenantless),
    Reason("E2", "nobody poses as the system", _posing),
    Reason("filters", "jobs can be filtered by more", _own_filters),
    Reason("catalogue", "the catalogue's entries are Assay's own", _own_catalogue),
    Reason("catalogue", "the catalogue's commands are Assay's own", _log_of_entry),
)
