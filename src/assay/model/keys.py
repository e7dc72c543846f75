"""API keys: how they are written, what is kept of them, and what asks for one.

A key is `assay_<prefix>_<secret>`: the prefix names it in lists and logs, the secret is 256 random bits in hexadecimal. Only
the prefix and the SHA-256 of the whole text are ever stored.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any, Final

from assay.model.shapes import Failure, Integer, ListOf, Member, Object, Text

PREFIX_BYTES: Final = 6
SECRET_BYTES: Final = 32
_TEXT: Final = re.compile(rb"assay_([0-9a-f]{12})_[0-9a-f]{64}")
_LONGEST_NAME: Final = 255
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def key_text(prefix: bytes, secret: bytes) -> str:
    """Return the text of a key from `PREFIX_BYTES` and `SECRET_BYTES` random bytes."""
    return f"assay_{prefix.hex()}_{secret.hex()}"


def prefix_of(text: bytes) -> str | None:
    """Return the prefix of a key; None for what is not written as one."""
    match = _TEXT.fullmatch(text)
    return match[1].decode() if match else None


def digest_of(text: bytes) -> bytes:
    """Return what is stored in the place of a key: 32 bytes."""
    return hashlib.sha256(text).digest()


@dataclass(frozen=True)
class ApiKey:
    """What is stored of a key. Times are microseconds since 1970; `addresses` are CIDR networks, none for any address."""

    prefix: str
    digest: bytes = field(repr=False)
    name: str
    tenant: str
    user: str
    roles: tuple[str, ...]
    addresses: tuple[str, ...]
    created_at: int
    created_by: str
    """The prefix of the key that made it; empty: it was made at the database itself."""
    expires_at: int | None = None
    last_used_at: int | None = None
    revoked_at: int | None = None

    def problem(self, now: int) -> str:
        """Say why the key does not count any more; empty if it does."""
        if self.revoked_at is not None:
            return "it was revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "it has expired"
        return ""


def is_network(text: str) -> bool:
    """Say whether a text is an address or a network in CIDR notation."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _sound(value: dict[str, Any]) -> list[Failure]:
    """Return what is wrong with the texts of a request, each with its own sentence."""
    found = []
    roles, addresses = value.get("roles", []), value.get("addresses", [])
    named = {name: value.get(name, "") for name in ("name", "tenant", "user")} | {
        f"roles[{i}]": r for i, r in enumerate(roles)
    }
    for name, text in named.items():
        if _CONTROL.search(text) or text != text.strip() or not text.isascii():
            problem = "must be ASCII without control characters, and without blanks around it: it goes into a header"
            found.append(Failure(name, name, "name", f"{name} {problem}"))
    for i, role in enumerate(roles):
        if role in roles[:i]:
            found.append(Failure(f"roles[{i}]", "roles", "unique", f"roles names '{role}' twice"))
    for i, address in enumerate(addresses):
        if not is_network(address):
            problem = "is neither an address nor a network such as 10.1.0.0/16 (without bits after the prefix)"
            found.append(Failure(f"addresses[{i}]", "addresses", "cidr", f"addresses[{i}]: '{address}' {problem}"))
    return found


_NAME: Final = Text(most=_LONGEST_NAME)
REQUEST: Final = Object(
    (
        Member("name", _NAME, required=True),
        Member("roles", ListOf(Text(most=_LONGEST_NAME), least=1, most=20), required=True),
        Member("tenant", _NAME),
        Member("user", _NAME),
        Member("expires_in_seconds", Integer(least=1)),
        Member("addresses", ListOf(Text(most=64), most=100)),
    ),
    (_sound,),
)
"""What asks for a key. Without a tenant it gets that of who asks; without a user, its name is its user."""
