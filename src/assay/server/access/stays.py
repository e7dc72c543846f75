"""Answers that go on, and whether whoever gets one may still have it.

The gate looks at a request when it comes. An answer that goes on after that (live events, a log that is followed) ends when
the key that opened it is revoked or expires, when its address is banned, or, where it was opened without a key, as soon as
there is one. All of them are looked at together, every `LOOK_S`: one question to the store, however many there are and
whatever they are told meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from assay.model.errors import AddressBanned, AssayError, InvalidKey, Unauthorised
from assay.server.access.bans import Bans
from assay.server.access.keyring import Keyring

log = logging.getLogger(__name__)

LOOK_S = 2.0
"""How often it is looked whether those who are there may stay."""


class Stay:
    """One answer that goes on, in the task that made this. `key` is a prefix, empty for none; `address` as bans count it."""

    __slots__ = ("address", "error", "key", "task")

    def __init__(self, key: str, address: str) -> None:
        self.key, self.address = key, address
        self.error: AssayError | None = None
        """Why it is over; None while it may go on."""
        task = asyncio.current_task()
        assert task is not None
        self.task = task

    def end(self, error: AssayError) -> None:
        """Cancel the task, whatever it waits for: its reader may have stopped to read."""
        self.error = error
        self.task.cancel()


class Stays:
    """Everybody who gets an answer that goes on. `needed` says whether a key is needed by now."""

    def __init__(self, keyring: Keyring, bans: Bans, needed: Callable[[], Awaitable[bool]]) -> None:
        self._keyring, self._bans, self._needed = keyring, bans, needed
        self._there: set[Stay] = set()

    @contextmanager
    def stay(self, key: str, address: str) -> Iterator[Stay]:
        """Give such an answer in a block; where that is ended from here, `error` says why."""
        stay = Stay(key, address)
        self._there.add(stay)
        try:
            yield stay
        except asyncio.CancelledError:
            if stay.error is None:
                raise
            stay.task.uncancel()
        finally:
            self._there.discard(stay)

    async def watch(self, period_s: float = LOOK_S) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(period_s)
            try:
                await self.look()
            except AssayError as error:  # a store that is away revokes nothing
                log.debug("whoever is there stays for now: %s", error.message)
            except Exception:  # whatever it is: without this nobody would be turned out any more
                log.exception("whoever is there stays for now")

    async def look(self) -> None:
        """End the answers of those who may not have them any more. Raises StoreUnavailable."""
        there = tuple(self._there)
        keys = {stay.key for stay in there if stay.key}
        problems = await self._keyring.problems(keys) if keys else {}
        needed = any(not stay.key for stay in there) and await self._needed()
        for stay in self._there.intersection(there):  # who has left meanwhile is at something else
            if error := self._error(stay, problems.get(stay.key, ""), needed):
                log.info("an answer to %s is ended: %s", stay.address, error.message)
                stay.end(error)

    def _error(self, stay: Stay, problem: str, needed: bool) -> AssayError | None:
        if problem:
            return InvalidKey(prefix=stay.key, problem=problem)
        if needed and not stay.key:
            return Unauthorised(needed="an API key by now", remedy="Send one and connect again.")
        if left_s := self._bans.left(stay.address):
            return AddressBanned(address=stay.address, seconds=math.ceil(left_s), after_s=left_s)
        return None
