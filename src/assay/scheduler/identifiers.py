"""The clock and the identifiers of a running program."""

from __future__ import annotations

import datetime
import os
import threading
import time

from assay.model.ids import uuid7

_EPOCH = datetime.datetime(1970, 1, 1)
_lock = threading.Lock()
_last = (0, 0)
_ahead: int | None = None
"""Microseconds that the clock shared with others is ahead of this machine's monotonic one; None: there is no such clock."""


def now() -> int:
    """Return the time in microseconds since 1970 (UTC), by the clock that all servers of one store share."""
    return time.time_ns() // 1000 if _ahead is None else time.monotonic_ns() // 1000 + _ahead


def share(ahead: int | None) -> None:
    """Go by a clock that is `ahead` microseconds ahead of the monotonic one from now on; None: by this machine's own."""
    global _ahead
    _ahead = ahead


def rfc3339(microseconds: int) -> str:
    """Return RFC 3339 text, in UTC with microseconds."""
    return (_EPOCH + datetime.timedelta(microseconds=microseconds)).isoformat(timespec="microseconds") + "Z"


def new_id() -> str:
    """Return a new UUIDv7; within this process each sorts after the one before, even in the same millisecond."""
    global _last
    with _lock:
        milliseconds = max(time.time_ns() // 1_000_000, _last[0])
        tail = int.from_bytes(os.urandom(10)) >> 6 & ~(0xF << 76)
        if milliseconds == _last[0]:
            # The variant and version bits are overwritten, so count in the 62 bits below them.
            tail = _last[1] + 1 + (int.from_bytes(os.urandom(4)) & 0xFFFF)
        _last = (milliseconds, tail & ((1 << 80) - 1))
        return uuid7(milliseconds, _last[1].to_bytes(10))
