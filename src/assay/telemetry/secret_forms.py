"""The spellings in which one secret can turn up in output: raw, escaped, URL-encoded, inside base64."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

# A shorter "secret" is a placeholder such as `EMPTY` or `none`; masking it would only wreck ordinary text.
MIN_SECRET_LENGTH = 6

_ESCAPE = re.compile(r"%[0-9A-F]{2}")


def secret_forms(secret: str) -> frozenset[bytes]:
    """Every byte string to mask for `secret`; empty when the secret is shorter than `MIN_SECRET_LENGTH`.

    Surrounding white space is not part of a secret (files end in a newline, headers are trimmed).
    """
    secret = secret.strip()
    if len(secret) < MIN_SECRET_LENGTH:
        return frozenset()
    texts = {secret, *_url_forms(secret), *_escaped_forms(secret), html.escape(secret)}
    forms = {text.encode("utf-8", "surrogatepass") for text in texts}
    forms |= _base64_forms(secret.encode("utf-8", "surrogatepass"))
    return frozenset(forms)


def _url_forms(secret: str) -> set[str]:
    upper = {quote(secret, safe="", errors="replace"), quote(secret, errors="replace")}
    upper.add(quote_plus(secret, errors="replace"))
    return upper | {_ESCAPE.sub(lambda m: m[0].lower(), form) for form in upper}


def _escaped_forms(secret: str) -> set[str]:
    once = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    once |= {form.replace("/", "\\/") for form in once}
    # A JSON document inside a JSON string (an error body quoted by a log line) escapes twice.
    return once | {json.dumps(form, ensure_ascii=False)[1:-1] for form in once}


def _base64_forms(secret: bytes) -> set[bytes]:
    """The characters that depend on the secret alone, for each of the three alignments and both alphabets."""
    forms: set[bytes] = set()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret)
        first = -(-8 * shift // 6)
        last = 8 * (shift + len(secret)) // 6
        forms.add(encoded[first:last])
        forms.add(encoded[first:last].translate(bytes.maketrans(b"+/", b"-_")))
    return forms
