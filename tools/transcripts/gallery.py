"""The gallery: a base request a table, one change a row, and the code and sentence of the answer."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from transcripts.normal import Answer
from transcripts.parsing import Row, changes
from transcripts.playing import Player
from transcripts.unseen import API

SECTION = 15
_RAW = re.compile(r"raw body `(.*)`")
_SENTENCES = {
    "invalid_json_request": "The request JSON is invalid: '{}'. Please check the request and try again.",
    "request_validation_failed": "The request validation failed: '{}'. Please check the request and try again.",
}
"""Codes of which the tables show only what stands between the quotation marks."""

_TOO_LONG: dict[str, dict[str, Any]] = {
    "agent": {"agent": {"summary": "s" * 201}},
    "experiment": {"experiment": {"name": "e", "tags": [{"key": "kkk", "value": "v"}] * 21}},
}
"""Values that the tables cut short, by the member that they are for."""


class Gallery:
    """Plays rows; `begin` makes the resources that they are about."""

    def __init__(self, player: Player) -> None:
        self._player = player
        one = [{"id": "b0", "name": "B0", "category": "c"}]
        provider, _ = (self._made("providers", {"name": "pg", "benchmarks": one}) for _ in range(2))
        reference = [{"id": "b0", "provider_id": provider}]
        collection = {"name": "c", "category": "cat", "benchmarks": reference}
        self._ids = {"<pid>": provider, "<cid>": self._made("collections", collection)}
        self._bases: dict[str, dict[str, Any]] = {
            "job": {"name": "j", "model": {"url": "http://m.example", "name": "m"}, "benchmarks": reference},
            "event": {"provider_id": provider, "id": "b0", "benchmark_index": 0, "status": "running"},
            "collection": collection,
            "provider": {"name": "p", "benchmarks": one},
        }
        self._patched = {
            f"{kind} PATCH": f"{API}/{kind}s/{self._made(f'{kind}s', self._bases[kind])}"
            for kind in ("provider", "collection")
        }

    def play(self, row: Row) -> tuple[Answer, Answer]:
        """Send the request of a row; return the recorded answer and ours."""
        if row.table == "list":
            return self._list(row)
        if row.table in self._patched:
            method, path, body = "PATCH", self._patched[row.table], _cell(row.change).encode()
        elif row.table == "event":
            job_id = self._made("jobs", self._bases["job"])
            method, path, body = "POST", f"{API}/jobs/{job_id}/events", self._body(row)
        else:
            method, path, body = "POST", f"{API}/{row.table}s", self._body(row)
        status, found = self._player.ask(method, path, body)
        if row.table == "event":
            self._end(job_id)
        elif row.table == "job" and status == 202:
            self._end(found["resource"]["id"])
        return _answer(row.status, row.code, row.message), _answer(status, *_told(status, found))

    def _list(self, row: Row) -> tuple[Answer, Answer]:
        path = _cell(row.change).removeprefix("GET …")
        status, found = self._player.ask("GET", API + path)
        if status != 200:
            return _answer(row.status, row.code, row.message), _answer(status, *_told(status, found))
        href = found.get("next", {}).get("href", "-").replace(API + path.partition("?")[0], "…")
        return _answer(row.status, row.code, row.message), _answer(200, "", f"limit={found['limit']} next={href}")

    def _body(self, row: Row) -> bytes:
        raw = _RAW.fullmatch(row.change)
        if raw:
            return raw[1].encode()
        changed = changes(row.change) or next(value for name, value in _TOO_LONG.items() if f"`{name}`" in row.change)
        text = json.dumps(_changed(self._bases[row.table], changed))
        for name, own in self._ids.items():
            text = text.replace(name, own)
        return (f'{{"benchmark_status_event":{text}}}' if row.table == "event" else text).encode()

    def _made(self, kind: str, body: Any) -> str:
        status, made = self._player.ask("POST", f"{API}/{kind}", body)
        if status not in (201, 202):
            raise SystemExit(f"A base request of the gallery was refused: {made}")
        return str(made["resource"]["id"])

    def _end(self, job_id: str) -> None:
        """End a job: without a worker it would wait for ever, while those of the record had failed by then."""
        self._player.ask("DELETE", f"{API}/jobs/{job_id}")


def _cell(text: str) -> str:
    return text.removeprefix("`").removesuffix("`")


def _told(status: int, found: Any) -> tuple[str, str]:
    """Return code and sentence of an error, in the form of the tables."""
    if status < 400:
        return "", "accepted"
    before, _, after = _SENTENCES.get(found["message_code"], "{}").partition("{}")
    return found["message_code"], found["message"].removeprefix(before).removesuffix(after)


def _answer(status: int, code: str, message: str) -> Answer:
    return Answer(status, {}, {"message_code": code, "message": message}, is_json=True)


def _changed(base: dict[str, Any], members: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of `base` with the members at dotted paths replaced, or removed (`...`)."""
    body = copy.deepcopy(base)
    for path, value in members.items():
        *parents, last = path.split(".")
        at: Any = body
        for step in parents:
            at = at[int(step)] if isinstance(at, list) else at[step]
        if value is ...:
            del at[last]
        else:
            at[last] = value
    return body
