"""Plays the recorded exchanges: sends each request with our identifiers in place of the recorded ones."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from transcripts import normal, unseen
from transcripts.parsing import Exchange
from transcripts.serving import ADAPTER, Server

_PATIENCE_S = 15.0
_LOOK_S = 0.05
_JOB = re.compile(r"/api/v1/evaluations/jobs/([^/?]+)")
_OWN_WORDS = {
    "<venv>/bin/python <adapter>/main.py": ADAPTER,
    # Our entry of that name offers other benchmarks.
    "ragas_rag_default": "faithfulness",
}
"""Words of the recording machine and its catalogue, and ours."""

WITH_WORKER = range(4, 7)
"""Sections whose jobs are carried out; in the others, events are posted by hand."""


class Player:
    """Knows which of our identifiers stands for which recorded one."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ours = dict(_OWN_WORDS)
        self._posted: set[str] = set()

    def begin(self, section: int) -> None:
        """Make what a section uses without showing it."""
        if section not in WITH_WORKER:
            self._server.stop_worker()
        for made in unseen.MADE:
            if made.section == section:
                self._make(made.recorded, made.kind, made.body, made.headers)

    def play(self, exchange: Exchange) -> tuple[normal.Answer, normal.Answer]:
        """Send a request; return the recorded answer and ours."""
        self._prepare(exchange)
        self._posted |= set(re.findall(r'_at": "([^"]+)"', exchange.request.body))
        status, headers, text = self._send(exchange)
        if not exchange.target.startswith("/api/"):
            text = text if status != 200 else exchange.answer.body  # pages and metrics are each server's own
        self._learn(exchange.answer.body, text)
        # Adapters print to the log what they want, so only the server's own lines of it are compared.
        request_id = exchange.request.headers.get("x-global-transaction-id", "")
        recorded = exchange.answer
        theirs = normal.answer(exchange.status, recorded.headers, recorded.body, request_id, self._posted)
        ours = normal.answer(status, headers, self._recorded(text), request_id, self._posted)
        if not normal.compact(headers, text):
            ours.headers["form"] = "not one line of compact JSON with &, < and > escaped"
        if "trailer" in recorded.headers and isinstance(ours.body, str):
            ours.body = normal.log(ours.body)
        if ours.is_json and theirs.is_json:
            self._order(exchange, theirs, ours)
        if exchange.cut:
            ours.body = _cut(theirs.body, ours.body)
        return theirs, ours

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Send a request that the record does not show; return status and JSON."""
        data = body if isinstance(body, bytes) or body is None else self._own(json.dumps(body)).encode()
        status, _, text = self._server.send(method, self._own(path), headers or {}, data)
        return status, json.loads(text) if text.startswith("{") else {}

    def _send(self, exchange: Exchange) -> tuple[int, dict[str, str], str]:
        body = self._own(exchange.request.body).encode() if exchange.request.body else None
        return self._server.send(exchange.method, self._own(exchange.target), exchange.request.headers, body)

    def _prepare(self, exchange: Exchange) -> None:
        """Bring the job that an exchange reads into the state in which the record found it."""
        found = _JOB.match(exchange.target)
        if not found or exchange.method != "GET" or exchange.status != 200 or "logs" in exchange.target:
            return
        recorded = json.loads(exchange.answer.body)
        if found[1] not in self._ours:
            body, headers = unseen.submission(recorded)
            self._make(found[1], "jobs", body, headers)
            for event in unseen.events(recorded):
                self.ask("POST", f"{unseen.API}/jobs/{found[1]}/events", {"benchmark_status_event": event}, headers)
        elif exchange.section in WITH_WORKER and recorded["status"]["state"] != "pending":
            self._server.start_worker()
            self._wait(found[1], recorded["status"])
        elif exchange.title.startswith("2 s later"):  # the record waited for an end that did not come
            self._wait(found[1], {"state": "failed"})

    def _wait(self, recorded_id: str, status: dict[str, Any]) -> None:
        """Wait until a job is as far as in the record; if it does not get there, the comparison will say so."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            _, job = self.ask("GET", f"{unseen.API}/jobs/{recorded_id}")
            phases = [row.get("phase", "") for row in job["status"]["benchmarks"]]
            wanted = [row["phase"] for row in status.get("benchmarks", []) if "phase" in row]
            if job["status"]["state"] == status["state"] and set(wanted) <= set(phases):
                return
            time.sleep(_LOOK_S)

    def _make(self, recorded: str, kind: str, body: dict[str, Any], headers: dict[str, str]) -> None:
        status, made = self.ask("POST", f"{unseen.API}/{kind}", body, headers)
        if status not in (201, 202):
            raise SystemExit(f"What the record uses could not be made: {made}")
        self._ours[recorded] = made["resource"]["id"]

    def _order(self, exchange: Exchange, theirs: normal.Answer, ours: normal.Answer) -> None:
        """Give a page of jobs the items of the recorded one, whose order is random, and note that ours has another: newest
        first, of which our ids tell, and of a list that is shown whole the same jobs."""
        if (
            exchange.target.partition("?")[0] != f"{unseen.API}/jobs"
            or "items" not in ours.body
            or "items" not in theirs.body
        ):
            return
        wanted, found = ([item["resource"]["id"] for item in answer.body["items"]] for answer in (theirs, ours))
        own = list(map(self._own, found))
        whole = not exchange.cut and len(wanted) == theirs.body["total_count"]
        if wanted == found or own != sorted(own, reverse=True) or (whole and set(wanted) != set(found)):
            return
        ours.headers["order"] = "newest first"
        asked = (self._server.send("GET", self._own(f"{unseen.API}/jobs/{job_id}"), {}, None) for job_id in wanted)
        answers = [normal.answer(status, headers, self._recorded(text), "", self._posted) for status, headers, text in asked]
        ours.body["items"] = [answer.body for answer in answers][: len(ours.body["items"])]

    def _learn(self, theirs: str, ours: str) -> None:
        """Note our identifier of something that was made."""
        found = [re.search(r'"resource":\s*{\s*"id":\s*"([^"]+)"', text) for text in (theirs, ours)]
        if found[0] and found[1] and re.fullmatch(r"[0-9a-f-]{36}", found[0][1]):
            self._ours.setdefault(found[0][1], found[1][1])

    def _own(self, text: str) -> str:
        for recorded, ours in self._ours.items():
            text = text.replace(recorded, ours)
        return text

    def _recorded(self, text: str) -> str:
        for recorded, ours in self._ours.items():
            text = text.replace(ours, recorded)
        return text


def _cut(theirs: Any, ours: Any) -> Any:
    """Leave out of the lists of benchmarks what the record leaves out of them."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return {name: _cut(theirs.get(name), value) for name, value in ours.items()}
    if isinstance(theirs, list) and isinstance(ours, list) and theirs:
        if all(isinstance(item, dict) and "id" in item for item in theirs):
            shown = {(item["id"], item.get("benchmark_index")) for item in theirs}
            ours = [item for item in ours if (item.get("id"), item.get("benchmark_index")) in shown]
        return [_cut(*pair) for pair in zip(theirs, ours, strict=False)] + ours[len(theirs) :]
    return ours
