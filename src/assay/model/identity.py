"""Canonical JSON (RFC 8785, the JSON Canonicalization Scheme) and the digest made from it.

Two plans that mean the same have the same bytes, hence the same digest, whatever order their members were written in.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LEAST, _MOST = -(2**63), 2**64 - 1
_encode = msgspec.json.Encoder().encode


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of `value` (None, bool, int, float, str, sequences, mappings with string keys).

    Integers beyond 2**53, for which RFC 8785 has no form, stand as their digits: a seed of 64 bits is told from the next.
    Raises ValueError for NaN, infinities, integers beyond 64 bits and lone surrogates.
    """
    pieces: list[bytes] = []
    _write(value, pieces)
    return b"".join(pieces)


def digest(value: Any) -> str:
    """Return `sha256:<hex>` of the canonical JSON of `value`."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def is_digest(text: str) -> bool:
    """Say whether a text has the form of a digest."""
    return _DIGEST.fullmatch(text) is not None


def _write(value: Any, out: list[bytes]) -> None:
    """Append the canonical JSON of `value` in pieces."""
    if isinstance(value, str):
        out.append(_text(value))
    elif isinstance(value, dict | Mapping):
        # RFC 8785 sorts members by UTF-16 code units, which differs from code points above the basic plane only.
        plain = all(map(str.isascii, value))
        comma = b"{"
        for key in sorted(value) if plain else sorted(value, key=_utf16):
            out += (comma, _text(key), b":")
            _write(value[key], out)
            comma = b","
        out.append(b"}" if value else b"{}")
    elif isinstance(value, list | tuple | Sequence) and not isinstance(value, bytes):
        comma = b"["
        for item in value:
            out.append(comma)
            _write(item, out)
            comma = b","
        out.append(b"]" if value else b"[]")
    elif isinstance(value, bool) or value is None:
        out.append(_encode(value))
    elif isinstance(value, int):
        if not _LEAST <= value <= _MOST:
            raise ValueError("an integer is beyond 64 bits and has no canonical JSON")
        out.append(str(value).encode())
    elif isinstance(value, float):
        out.append(number(value).encode())
    else:
        raise ValueError(f"{type(value).__name__} has no canonical JSON")


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")


def _text(value: str) -> bytes:
    try:
        return _encode(value)
    except UnicodeEncodeError as error:
        raise ValueError("text with a lone surrogate has no canonical JSON") from error


def number(value: float) -> str:
    """Return the ECMAScript text of a finite double (ECMA-262, Number::toString), as RFC 8785 asks."""
    if not math.isfinite(value):
        raise ValueError(f"{value} has no JSON form")
    if value == 0:
        return "0"
    # Python's repr is the shortest text that reads back exactly, which is what ECMA-262 asks of the digits too.
    sign, digit_tuple, exponent = Decimal(repr(value)).normalize().as_tuple()
    digits = "".join(map(str, digit_tuple))
    point = len(digits) + int(exponent)  # the value is 0.digits times 10**point
    if len(digits) <= point <= 21:
        text = digits.ljust(point, "0")
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{rest}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return "-" + text if sign else text
