"""Which fault, if any, meets a request: a pure function of options, request number and prompt."""

from __future__ import annotations

from enum import Enum
from hashlib import blake2b

from assay.practice.options import Options


class Fault(Enum):
    """A way in which an endpoint lets its client down."""

    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"
    FAILED = "failed"
    HUNG = "hung"
    BAD_JSON = "bad_json"
    NULL_CONTENT = "null_content"
    TRUNCATED = "truncated"


def early_fault(options: Options, number: int) -> Fault | None:
    """The fault of request `number` (from 1) that needs no look at the prompt and costs no wait."""
    if options.refuse is not None:
        return Fault.REFUSED
    if options.rate_limit_every and number % options.rate_limit_every == 0:
        return Fault.RATE_LIMITED
    return None


def fault(options: Options, number: int, prompt: str, *, streaming: bool) -> Fault | None:
    """The fault of request `number` once its prompt is known."""
    if options.fail_on is not None and options.fail_on in prompt:
        return Fault.FAILED
    rates = (
        (Fault.FAILED, options.fail_rate),
        (Fault.HUNG, options.hang_rate),
        (Fault.BAD_JSON, options.bad_json_rate),
        (Fault.NULL_CONTENT, options.null_content_rate),
    )
    for kind, rate in rates:
        if rate and _draw(options.seed, kind.value, number) < rate:
            return kind
    return Fault.TRUNCATED if streaming and options.truncate_stream else None


def latency(options: Options, number: int) -> float:
    """Seconds to wait before request `number` is answered."""
    jitter = options.jitter_ms * _draw(options.seed, "jitter", number) if options.jitter_ms else 0.0
    return (options.latency_ms + jitter) / 1000


def _draw(seed: int, purpose: str, number: int) -> float:
    """An even draw from [0, 1) that depends on nothing but its arguments."""
    digest = blake2b(f"{seed}:{purpose}:{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
