"""What the server says of a body that it refuses, in words: it answers in EvalHub's, which programs read."""

from __future__ import annotations

import re

_BROKEN = re.compile(r"Key: '\w+\.([^']+)' Error:Field validation for '[^']*' failed on the '([^']*)' tag")
_RULES = {
    "required": "is missing",
    "url": "must be a URL with scheme and host, such as https://host.example/path",
    "tagname": "must have 1 to 128 characters, and no comma or vertical bar, which filters use",
    "notblank": "must not be blank",
    "min": "is too small",
    "max": "is too large",
}


def in_words(message: str) -> str:
    """Return the message with each rule that was broken told as field and remedy; others stay as they are."""
    return _BROKEN.sub(_rule, message)


def _rule(broken: re.Match[str]) -> str:
    field, rule = broken.groups()
    return f"{field} {_RULES.get(rule, f'breaks the rule {rule}')}"
