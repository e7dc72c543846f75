"""The connection to Redis, behind a circuit: whoever asks gets an answer or None, soon, and never an error.

As long as Redis answers, each call goes to it in its turn and may then take up to `PATIENCE_S`. The first call that fails
opens the circuit: from then on every call returns at once, and a task asks after Redis, at growing intervals, until it is
back. So an outage costs each call that was under way its patience, once, and later calls nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from redis import asyncio as client
from redis.asyncio.connection import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from assay import eventloop
from assay.config.masking import without_password
from assay.model.errors import SettingInvalid

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S: Final = 1.0
"""Longest time of one call, connecting included."""
_AT_ONCE = 8
"""Calls under way; further ones wait for their turn."""
_CONNECTIONS = _AT_ONCE + 8
"""Connections, those of subscriptions included."""
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
_STEADY_S = 10.0
"""An outage that comes sooner after the one before is asked after at longer intervals, as if that had gone on."""
_QUIET_S = 5.0
"""How often Redis is asked after while it answers."""
_TOLD_S = 60.0
"""How long the same refusal is not logged again."""
FAILURES: Final = (RedisError, OSError, TimeoutError, RuntimeError)
"""Whatever a connection may raise. RuntimeError is uvloop's, for one that has broken a moment before it is written to."""


class Redis:
    """One Redis for the tasks of one event loop. Made in the loop; `close` it there.

    Raises SettingInvalid for a URL that redis-py does not take; that nobody answers at it is no error.
    """

    def __init__(self, url: str, origin: str = "default") -> None:
        self.shown = without_password(url)
        """The URL as it may be told."""
        self.errors = 0
        """Calls that failed or were refused, and lost connections."""
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=PATIENCE_S,
                socket_timeout=PATIENCE_S,
                socket_connect_timeout=PATIENCE_S,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
                client_name="assay",
            )
            pool.make_connection()  # type: ignore[no-untyped-call]  # takes what the URL says without asking anybody
        except (ValueError, TypeError, OSError, RedisError) as error:
            problem = "it is no URL of a Redis server; check the host, the port and the options after `?`"
            raise SettingInvalid(name="redis", origin=origin, problem=problem) from error
        self._client: client.Redis = client.Redis(connection_pool=pool)
        self._back, self._gone = asyncio.Event(), asyncio.Event()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._pause = _SHORTEST_PAUSE_S
        self._changed_at = time.monotonic()
        self._refusals: dict[str, float] = {}
        self._keeping = asyncio.create_task(self._keep())

    @property
    def connected(self) -> bool:
        """Whether Redis has answered the last call."""
        return self._back.is_set()

    async def ready(self) -> None:
        """Wait until Redis answers."""
        await self._back.wait()

    async def publish(self, channel: str, payload: bytes | str) -> bool:
        """Send a message to whoever listens on `channel` now; say whether Redis has taken it."""
        return await self.ask(lambda redis: redis.publish(channel, payload)) is not None

    async def ask(self, call: Callable[[client.Redis], Awaitable[T]]) -> T | None:
        """Return what `call` gets from redis-py; None if Redis is away or refuses it, which is logged here."""
        if not self._back.is_set():
            return None
        try:
            # Whoever waits here waits for this process, not for Redis: the patience begins with the turn.
            async with self._turns:
                if not self._back.is_set():
                    return None
                async with asyncio.timeout(PATIENCE_S):
                    return await call(self._client)
        except ResponseError as error:
            self._refused(error)
        except FAILURES as error:
            self.lost(error)
        return None

    def script(self, source: str) -> Any:
        """Return a Lua script that `ask` may call with keys and arguments; Redis is sent its text when it has not got it."""
        return self._client.register_script(source)

    def pubsub(self) -> Any:
        """Return a subscription of redis-py, for `assay.redis.subscription`."""
        return self._client.pubsub()

    def lost(self, error: BaseException) -> None:
        """Open the circuit: Redis did not answer."""
        self.errors += 1
        if not self._back.is_set():
            return
        self._back.clear()
        if time.monotonic() - self._changed_at > _STEADY_S:
            self._pause = _SHORTEST_PAUSE_S
        self._gone.set()
        self._away(error)

    async def close(self) -> None:
        """Let go of Redis; calls return at once from now on."""
        await eventloop.end(self._keeping)
        self._back.clear()
        with contextlib.suppress(*FAILURES):
            async with asyncio.timeout(PATIENCE_S):
                await self._client.connection_pool.disconnect()

    async def _keep(self) -> None:
        """Ask after Redis while it is away, and now and then while it is there, in case nobody else does."""
        await self._mend(first=True)
        while True:
            try:
                async with asyncio.timeout(_QUIET_S):
                    await self._gone.wait()
            except TimeoutError:
                await self.ask(lambda redis: redis.ping())
            if self._gone.is_set():
                await self._mend()

    async def _mend(self, *, first: bool = False) -> None:
        """Ask after Redis until it answers. `first`: nobody has asked yet, so there is nothing to wait for."""
        silent = first
        while True:
            if not first:
                await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311  (servers must not ask in step)
                self._pause = min(self._pause * 2, _LONGEST_PAUSE_S)
            first = False
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._client.ping()
            except FAILURES as error:
                self.errors += 1
                if silent:
                    silent = False
                    self._away(error)
            else:
                break
        away_s = time.monotonic() - self._changed_at
        self._changed_at = time.monotonic()
        self._gone.clear()
        self._back.set()
        if silent:
            log.info("Redis answers at %s", self.shown)
        else:
            log.info("Redis is back at %s after %.1f s", self.shown, away_s)

    def _away(self, error: BaseException) -> None:
        self._changed_at = time.monotonic()
        log.warning("Redis at %s is away: %s. Everything goes on without it", self.shown, _reason(error))

    def _refused(self, error: ResponseError) -> None:
        """Count a command that Redis answered with an error; log it unless the same was logged lately."""
        self.errors += 1
        reason, moment = _reason(error), time.monotonic()
        if moment - self._refusals.get(reason, -_TOLD_S) >= _TOLD_S:
            self._refusals[reason] = moment
            log.warning("Redis at %s refuses a command: %s", self.shown, reason)


def _reason(error: BaseException) -> str:
    """Return what is wrong, in words of our own: Redis' may quote what they were given."""
    match error:
        case AuthenticationError() | AuthorizationError():
            return "it refuses the login; check the user and password in its URL"
        case NoPermissionError():
            return "its user may not do that; allow it the channels and keys that begin with `assay:`"
        case BusyLoadingError():
            return "it is still loading its data"
        case OutOfMemoryError():
            return "it is out of memory; raise maxmemory or let it evict"
        case ReadOnlyError():
            return "it only takes readers; name the primary"
        case ResponseError():
            return f"{type(error).__name__} {str(error).partition(' ')[0][:30]}"
        case TimeoutError():
            return f"no answer within {PATIENCE_S:g} s"
        case RedisError() if "Timeout" in type(error).__name__:
            return f"no answer within {PATIENCE_S:g} s"
        case _:
            return "nobody answers there"
