"""Canonical JSON (RFC 8785, the JSON Canonicalization Scheme) and the digest made from it.

Two plans that mean the same have the same bytes, hence the same digest, whatever order their members were written in.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

_MAX_EXACT = 2**53


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of `value` (None, bool, int, float, str, sequences, mappings with string keys).

    Raises ValueError for NaN, infinities, integers beyond 2**53 and lone surrogates, which JSON cannot carry exactly.
    """
    return b"".join(_pieces(value))


def digest(value: Any) -> str:
    """Return `sha256:<hex>` of the canonical JSON of `value`."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def _pieces(value: Any) -> list[bytes]:
    if isinstance(value, Mapping):
        # RFC 8785 sorts members by UTF-16 code units, which differs from code points above the basic plane.
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        out = [b"{"]
        for i, key in enumerate(keys):
            out += [b"," if i else b"", _text(key), b":", *_pieces(value[key])]
        return [*out, b"}"]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        out = [b"["]
        for i, item in enumerate(value):
            out += [b"," if i else b"", *_pieces(item)]
        return [*out, b"]"]
    if isinstance(value, str):
        return [_text(value)]
    if isinstance(value, bool) or value is None:
        return [msgspec.json.encode(value)]
    if isinstance(value, int):
        if abs(value) > _MAX_EXACT:
            raise ValueError(f"integer {value} is beyond 2**53 and has no canonical JSON")
        return [str(value).encode()]
    if isinstance(value, float):
        return [number(value).encode()]
    raise ValueError(f"{type(value).__name__} has no canonical JSON")


def _text(value: str) -> bytes:
    try:
        return msgspec.json.encode(value)
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
