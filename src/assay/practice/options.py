"""How a practice endpoint behaves: its name, its speed and its faults."""

from __future__ import annotations

from dataclasses import dataclass, field

REFUSALS = (400, 401, 403, 404, 429, 500, 503)
"""Statuses that `refuse` may have."""


@dataclass(frozen=True)
class Options:
    """Settings of one endpoint. Raises ValueError, naming the setting, for a value out of range.

    Faults touch the two model endpoints (chat and completions); `refuse` and `api_key` touch everything under
    `/v1`. Rates are fractions of requests, chosen by a hash of `seed` and the number of the request: the same
    order of requests meets the same faults.
    """

    model: str = "practice"
    """The name that `/v1/models` lists. Requests may name any model: the one that is here answers."""
    seed: int = 0
    """Of faults, jitter, and sampling where a request has no seed of its own."""
    api_key: str | None = field(default=None, repr=False)
    """Demand this bearer token."""
    latency_ms: float = 0.0
    """Wait so long before each answer."""
    jitter_ms: float = 0.0
    """And up to so much longer, evenly spread."""
    fail_rate: float = 0.0
    """Answer 500."""
    fail_on: str | None = None
    """Answer 500 whenever the prompt contains this: a sample that no retry can save."""
    rate_limit_every: int = 0
    """Answer 429 to each n-th request; 0 is never."""
    retry_after_s: int = 1
    """What a 429 says in Retry-After, seconds."""
    refuse: int | None = None
    """Answer every request with this status."""
    hang_rate: float = 0.0
    """Never answer, until the client gives up."""
    bad_json_rate: float = 0.0
    """Answer 200 with half a JSON document."""
    null_content_rate: float = 0.0
    """Answer with null in place of the text."""
    truncate_stream: bool = False
    """End a stream half way, with no finish reason and no `[DONE]`."""

    def __post_init__(self) -> None:
        for name in ("fail_rate", "hang_rate", "bad_json_rate", "null_content_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a fraction between 0 and 1, not {getattr(self, name)}")
        for name in ("latency_ms", "jitter_ms", "rate_limit_every", "retry_after_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.refuse is not None and self.refuse not in REFUSALS:
            raise ValueError(f"refuse is one of {', '.join(map(str, REFUSALS))}, not {self.refuse}")
        if self.api_key == "" or self.fail_on == "":
            raise ValueError("api_key and fail_on must not be empty")
