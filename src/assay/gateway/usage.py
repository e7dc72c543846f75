"""What a run used: requests, tokens and time, counted where they pass."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

# Upper bounds, in seconds, of the latency histogram's buckets; a last bucket holds the rest.
LATENCY_BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


@dataclass(frozen=True)
class Usage:
    """A snapshot. A request is one call of the evaluation, however often it was retried.

    `inferences` are the successful requests that ran the model (completions, embeddings, ...; not `/models`
    or `/tokenize`). `failed` ended with an error for the evaluation; `cancelled` were given up by it.
    Latency runs from the arrival of a request to the last byte of its answer; `throttled_s` is the part
    spent waiting for a slot or for a retry, summed over requests.
    """

    requests: int = 0
    inferences: int = 0
    failed: int = 0
    cancelled: int = 0
    retries: int = 0
    in_flight: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    throttled_s: float = 0.0
    latency_sum_s: float = 0.0
    latency_buckets: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS_S) + 1)


class UsageMeter:
    """The running counters of one run."""

    def __init__(self) -> None:
        self.requests = self.inferences = self.failed = self.cancelled = self.retries = self.in_flight = 0
        self.prompt_tokens = self.completion_tokens = 0
        self.throttled_s = self.latency_sum_s = 0.0
        self._buckets = [0] * (len(LATENCY_BOUNDS_S) + 1)

    def observe_latency(self, seconds: float) -> None:
        """Count one finished request."""
        self.latency_sum_s += seconds
        self._buckets[bisect_left(LATENCY_BOUNDS_S, seconds)] += 1

    def snapshot(self) -> Usage:
        """The counters now."""
        return Usage(
            requests=self.requests,
            inferences=self.inferences,
            failed=self.failed,
            cancelled=self.cancelled,
            retries=self.retries,
            in_flight=self.in_flight,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            throttled_s=self.throttled_s,
            latency_sum_s=self.latency_sum_s,
            latency_buckets=tuple(self._buckets),
        )
