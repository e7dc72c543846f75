"""What an endpoint has done since it started, as `/stats` shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from assay.practice.faults import Fault


class Stats:
    """Counters of one endpoint. Used from one event loop only."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        """Model requests by kind: chat, completions."""
        self.answered = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.faults: Counter[Fault] = Counter()

    @contextmanager
    def request(self, kind: str) -> Iterator[int]:
        """Count a model request while it is being answered; gives its number, from 1."""
        self.requests[kind] += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            yield self.requests.total()
        finally:
            self.in_flight -= 1

    def document(self) -> dict[str, Any]:
        """The counters as JSON."""
        return {
            "requests": self.requests.total(),
            "requests_by_endpoint": {kind: self.requests[kind] for kind in ("chat", "completions")},
            "answered": self.answered,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "failures_injected": sum(self.faults.values()),
            "failures_by_kind": {fault.value: self.faults[fault] for fault in Fault},
        }
