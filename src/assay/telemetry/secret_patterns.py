"""What a credential looks like when its value is not known: one expression that leaves ordinary text alone.

Ordinary text here is the text of evaluations: `max_tokens=16`, `"token": " Paris"` in log-probabilities,
`tokenizer`, `"secret_ref": "name"`. No pattern crosses a line break and every pattern is bounded, so a stream
can be cut at line ends, or `MAX_MATCH` bytes before its end, without changing the result.
"""

from __future__ import annotations

import re

MASK = b"[redacted]"
MAX_VALUE = 8192  # bytes of one masked value; the longest real tokens (JWTs in headers) are about this size
MAX_MATCH = 2 * MAX_VALUE + 1024

# All expressions run over lower-cased bytes, and every alternative begins with a literal byte: so the search
# skips to the next possible first byte instead of trying each alternative at each position.
_UP_TO = b"{0,%d}" % MAX_VALUE
_VALUE = rb"""([^\s'"\\,;}&<>]{1,%d})""" % MAX_VALUE
_QUOTE = rb"""\\{0,4}['"]"""
_ASSIGN = rb"(?:" + _QUOTE + rb")?[ \t]{0,4}[:=][ \t]{0,4}(?:b?" + _QUOTE + rb")?"
_SCHEME = rb"(?:(?:bearer|basic|token|digest|negotiate|api-?key|key)[ \t]{1,4})?"
_ABSENT = rb"(?!(?:none|null|true|false|undefined)\b)"
# A long word is a word; letters and digits mixed are a credential.
_MIXED = rb"(?=[a-z._~+/=-]" + _UP_TO + rb"[0-9])(?=[0-9._~+/=-]" + _UP_TO + rb"[a-z])"
_TOKEN = rb"[a-z0-9._~+/=-]"
_AT_LEAST = b"{%d,%d}"

_CREDENTIAL_NAMES = (
    b"authorization",
    *(owner + rb"[-_]?key" for owner in (b"api", b"access", b"secret", b"account", b"subscription")),
    *(owner + rb"[-_]token" for owner in (b"api", b"access", b"auth", b"refresh", b"session", b"hf")),
)
_PASSWORD_NAMES = (b"passwd", b"password", b"passphrase", b"client_secret")
_KEY_PREFIXES = (b"sk-", b"hf_", rb"gh[pousr]_", b"github_pat_", b"glpat-", rb"xox[abprs]-", b"akia", b"aiza")


def _key_with_prefix(prefix: bytes) -> bytes:
    first, rest = prefix[:1], prefix[1:]
    shortest = 8 if prefix == b"sk-" else 16
    return first + rb"(?<![a-z0-9_]" + first + rb")" + rest + rb"[a-z0-9_-]" + _AT_LEAST % (shortest, MAX_VALUE)


_ALTERNATIVES = (
    *(name + _ASSIGN + _SCHEME + _ABSENT + _VALUE for name in _CREDENTIAL_NAMES),
    # `password=x` and `"password": "x"` are assignments; `password: think of one` is prose.
    *(name + rb"=(?:" + _QUOTE + rb")?" + _ABSENT + _VALUE for name in _PASSWORD_NAMES),
    *(name + _QUOTE + rb"[ \t]{0,4}[:=][ \t]{0,4}" + _QUOTE + _ABSENT + _VALUE for name in _PASSWORD_NAMES),
    *(name + _ASSIGN + _MIXED + rb"(" + _TOKEN + _AT_LEAST % (16, MAX_VALUE) + rb")" for name in (b"token", b"secret")),
    rb"bearer[ \t]{1,4}" + _MIXED + rb"(" + _TOKEN + _AT_LEAST % (8, MAX_VALUE) + rb")",
    rb"bearer[ \t]{1,4}(" + _TOKEN + _AT_LEAST % (20, MAX_VALUE) + rb")",
    rb"://[^\s/?#'\"@:<>]{0,256}:([^\s/?#'\"@<>]" + _AT_LEAST % (1, MAX_VALUE) + rb")(?=@)",
    rb"://([^\s/?#'\"@:<>]" + _AT_LEAST % (16, MAX_VALUE) + rb")(?=@)",
    *(_key_with_prefix(prefix) for prefix in _KEY_PREFIXES),
    rb"a(?<![a-z0-9_]a)ssay_[0-9a-f]{12}_[0-9a-f]{64}",  # an API key of Assay's
    rb"e(?<![a-z0-9_]e)yj[a-z0-9_-]{8,4096}\.[a-z0-9_-]" + _AT_LEAST % (8, MAX_VALUE) + rb"(?:\.[a-z0-9_-]{0,1024})?",
)
_PATTERN = re.compile(b"|".join(_ALTERNATIVES))


def mask_patterns(data: bytes) -> bytes:
    """`data` with every value that looks like a credential replaced by `MASK`."""
    return mask_until(data, 0, len(data))[0]


def mask_until(data: bytes, start: int, limit: int) -> tuple[bytes, int]:
    """Mask the matches that begin in `data[start:limit]`; returns the bytes to emit and where to go on.

    What stands before `start` is context only: it was emitted already.
    """
    parts: list[bytes] = []
    for match in _PATTERN.finditer(data.lower(), start):
        if match.start() >= limit:
            break
        # The group is the value; a pattern without one is a value as a whole.
        parts += (data[start : match.start(match.lastindex or 0)], MASK)
        start = match.end()
    parts.append(data[start:limit])
    return b"".join(parts), max(start, limit)
