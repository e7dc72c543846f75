"""Live events: what happens to a job, or to all jobs, as it happens, across restarts of the server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from assay.client.errors import ClientError, ServerError, TimedOut, Unreachable
from assay.client.http import Http

PATIENCE_S: Final = 60.0
"""How long a server may be away (a restart) before watching is given up."""
SILENCE_S: Final = 45.0
"""A server says something every 15 seconds; one that is silent for longer is asked anew."""
_PAUSE_S: Final = 0.5

Event = dict[str, Any]
"""An event as the server tells it: `type`, `data`, `job_id`, and where there are such `seq`, `at`, `run_id`."""


def follow(
    http: Http,
    path: str,
    after: int | None = None,
    *,
    patience_s: float = PATIENCE_S,
    away: Callable[[ClientError], None] = lambda _: None,
) -> Iterator[Event]:
    """Yield the events of the stream at `path` after the event `after` (None: as the stream begins of itself).

    Ends after the event `end`. A stream that breaks off is opened again after the last event that came: none is missed, none
    comes twice. `away` is told of each failure. Raises ClientError when the server refuses, or is away for `patience_s`.
    """
    seen, heard = after, time.monotonic()
    while True:
        problem: ClientError = Unreachable(http.base_url, "it closed the stream")
        try:
            headers = {"Accept": "text/event-stream"} | ({} if seen is None else {"Last-Event-ID": str(seen)})
            with http.stream("GET", path, headers=headers, timeout_s=SILENCE_S) as answer:
                for place, event in read(answer.chunks):
                    heard, seen = time.monotonic(), place if place is not None else seen
                    if event is not None:
                        yield event
                        if event["type"] == "end":
                            return
        except (Unreachable, TimedOut) as error:
            problem = error
        except ServerError as error:
            if error.status < 500:
                raise
            problem = error
        if time.monotonic() - heard > patience_s:
            raise problem
        away(problem)
        time.sleep(_PAUSE_S)


def read(chunks: Iterator[bytes]) -> Iterator[tuple[int | None, Event | None]]:
    """Yield what a `text/event-stream`, which arrives in any pieces, says: a place in the history, an event, or both."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        for block in whole:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
            place, data = fields.get(b"id"), fields.get(b"data")
            yield int(place) if place else None, json.loads(data) if data else None
