"""A token bucket that servers share, kept in Redis as long as it is not full.

A bucket holds at most `burst` tokens and gains `per_second` of them. Redis takes the token and reads its own clock in one
script, so neither two servers at once nor clocks that differ let through more. A bucket that Redis has lost is full.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from assay.redis.connection import Redis

_TAKE: Final = """
local per_second, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6
local tokens = burst
local kept = redis.call('GET', KEYS[1])
if kept then
  local held, at = string.match(kept, '^(%S+) (%S+)$')
  held, at = tonumber(held), tonumber(at)
  if held and at then
    tokens = math.max(0, math.min(burst, held + math.max(0, now - at) * per_second))
  end
end
local allowed = tokens >= 1
if allowed then
  tokens = tokens - 1
end
local full_ms = math.ceil((burst - tokens) / per_second * 1000)
redis.call('SET', KEYS[1], string.format('%.9f %.6f', tokens, now), 'PX', math.max(1, full_ms))
return {allowed and 1 or 0, string.format('%.9f', tokens)}
"""


class Drawn(NamedTuple):
    """What came of taking a token. `tokens`: how many are left; `retry_s`: seconds until there is one, 0 if allowed."""

    allowed: bool
    tokens: float
    retry_s: float


class Buckets:
    """The buckets whose keys begin with `prefix`."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis, self._prefix = redis, prefix
        self._take = redis.script(_TAKE)

    async def take(self, name: str, per_second: float, burst: int) -> Drawn | None:
        """Take a token, if there is one; None while Redis is away."""
        answer = await self._redis.ask(lambda _: self._take([self._prefix + name], [repr(per_second), burst]))
        if answer is None:
            return None
        allowed, tokens = bool(answer[0]), float(answer[1])
        return Drawn(allowed, tokens, 0.0 if allowed else (1 - tokens) / per_second)
