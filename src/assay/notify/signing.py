"""Signatures of webhooks, in the form of Standard Webhooks 1.0: HMAC-SHA256 over id, time and body.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from pathlib import Path

from assay.gateway import CredentialError, resolve

_PREFIX = "whsec_"
_LEAST, _MOST = 24, 64


class SecretUnusable(Exception):
    """A secret that cannot sign; the text says why, and never holds any of it."""


def keys_of(secret_ref: str, secrets_dir: Path) -> list[bytes]:
    """Return the keys of a named secret: `whsec_` and base64 of 24 to 64 bytes; several, with spaces between them, while one
    is being replaced by another. Raises SecretUnusable.
    """
    try:
        value = resolve(secret_ref, secrets_dir, {}).value or ""
    except CredentialError:
        raise SecretUnusable(
            f"the secret '{secret_ref}' cannot be read: put it into a file of that name in the server's secrets folder"
        ) from None
    keys = [_key(part) for part in value.split()]
    found = [key for key in keys if key is not None]
    if not found or len(found) < len(keys):
        raise SecretUnusable(
            f"the secret '{secret_ref}' is none for webhooks: "
            f"{_PREFIX} and base64 of {_LEAST} to {_MOST} random bytes are needed"
        )
    return found


def _key(text: str) -> bytes | None:
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if _LEAST <= len(key) <= _MOST else None


def signature(keys: list[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature`: one signature for each key. `timestamp` is in seconds since 1970."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join("v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode("ascii") for key in keys)
