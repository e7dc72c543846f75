"""Time-ordered identifiers: UUID version 7 (RFC 9562, section 5.7) from a clock reading and random bytes of the caller."""

from __future__ import annotations

import uuid


def uuid7(milliseconds: int, randomness: bytes) -> str:
    """Return the UUIDv7 text for a Unix time in milliseconds and 10 bytes of randomness.

    Identifiers made in different milliseconds sort, as text, by time.
    """
    if len(randomness) != 10 or not 0 <= milliseconds < 1 << 48:
        raise ValueError("uuid7 needs a time below 2**48 ms and exactly 10 random bytes")
    tail = int.from_bytes(randomness)
    value = milliseconds << 80 | tail
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def first_id(seconds: float) -> str:
    """Return the least UUIDv7 text of a time in seconds since 1970: what was made before it sorts before."""
    return uuid7(max(0, int(seconds * 1000)), bytes(10))
