"""Answers in the form in which they are compared: what must differ between two servers is replaced by a name."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COMPARED = (
    "content-type",
    "x-global-transaction-id",
    "x-content-type-options",
    "location",
    "trailer",
    "cache-control",
    "pragma",
    "expires",
    "allow",
)
"""Headers that the contract names. Those about pages of other origins are cut in the record."""

_SERVER_TIMES = ("created_at", "updated_at", "timestamp", "collection_updated_at")
_ADAPTER_TIMES = ("started_at", "completed_at")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_LOG_HEADER = re.compile(r"=== pod=\S+ container=\S+ benchmark_id=\S+ ===")


@dataclass
class Answer:
    """A comparable answer. `body` is JSON where `is_json`, else text; reasons change it in place."""

    status: int
    headers: dict[str, str]
    body: Any
    is_json: bool

    def text(self) -> list[str]:
        """Return the answer as lines."""
        head = [str(self.status), *(f"{name}: {value}" for name, value in sorted(self.headers.items()))]
        body = json.dumps(self.body, indent=1, ensure_ascii=False) if self.is_json else self.body
        return [*head, "", *body.splitlines()]


def answer(status: int, headers: Mapping[str, str], body: str, request_id: str, posted: set[str]) -> Answer:
    """Return an answer in comparable form. `request_id`: what the caller sent; `posted`: times that callers sent."""
    kept = {name: headers[name] for name in COMPARED if name in headers}
    trace = kept.get("x-global-transaction-id", "")
    if trace and trace != request_id:
        kept["x-global-transaction-id"] = "<request id>"
    is_json = kept.get("content-type") == "application/json" and bool(body)
    content: Any = _neutral(json.loads(body), "", trace, posted) if is_json else body
    if kept.get("content-type", "").startswith("text/plain; charset") and "trailer" in headers | kept:
        content = log(body)
    return Answer(status, kept, content, is_json)


def compact(headers: Mapping[str, str], body: str) -> bool:
    """Say whether a body of JSON is written as the contract wants it. The record shows it indented, under chunks."""
    if headers.get("content-type") != "application/json" or not body or "content-length" not in headers:
        return True
    written = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False)
    for sign in "&<>":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return body == written + "\n"


def log(text: str) -> str:
    """Return a log with each line of a program replaced; the lines that the server adds stay."""
    return "\n".join(line if not line or _LOG_HEADER.fullmatch(line) else "<line>" for line in text.rstrip("\n").split("\n"))


def difference(theirs: Answer, ours: Answer) -> str:
    """Return how our answer differs, as a unified diff; empty if it does not."""
    return "\n".join(difflib.unified_diff(theirs.text(), ours.text(), "recorded", "assay", lineterm=""))


def _neutral(value: Any, name: str, trace: str, posted: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _neutral(item, key, trace, posted) for key, item in value.items()}
    if isinstance(value, list):
        return [_neutral(item, name, trace, posted) for item in value]
    if name == "trace":
        return "<request id>" if value == trace else f"not the request id: {value}"
    if name in _SERVER_TIMES and _TIME.fullmatch(str(value)):
        return "<time>"
    if name in _ADAPTER_TIMES and _TIME.fullmatch(str(value)) and value not in posted:
        return "<time>"
    return value
