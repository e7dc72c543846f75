"""PostgreSQL's own programs, which copy a database and put a copy back. Passwords go to them by the environment alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from assay.config.masking import without_password
from assay.model.errors import StoreUnusable
from assay.store.postgres.address import Address

_DEBIAN = Path("/usr/lib/postgresql")


def program(name: str) -> str:
    """Return the path of a program, of the newest version where several are there. Raises StoreUnusable."""
    versions = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: float(path.parent.parent.name), reverse=True)
    found = str(versions[0]) if versions else shutil.which(name)
    if not found:
        remedy = "Install PostgreSQL's client programs (Debian: sudo apt-get install postgresql-client)."
        raise StoreUnusable(path="PostgreSQL", error=f"the program {name} is not on this machine", remedy=remedy)
    return found


def arguments(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL of a database without its password, and the environment with it.

    Raises StoreUnusable where a pooler stands in between that lends connections by the transaction.
    """
    address = Address.of(url)
    if address.pooled:
        problem = "PostgreSQL's own programs do not work through a pooler in transaction mode"
        remedy = "Name the database itself in ASSAY_DATABASE for this command, without the pooler and `pgbouncer=true`."
        raise StoreUnusable(path=without_password(url), error=problem, remedy=remedy)
    parts = urlsplit(address.url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    password = dict(query).get("password") or unquote(parts.password or "")
    user, at, host = parts.netloc.rpartition("@")
    bare = parts._replace(
        netloc=user.partition(":")[0] + at + host,
        query=urlencode([(name, value) for name, value in query if name != "password"]),
    )
    environment = {**os.environ, "PGAPPNAME": "assay-backup", "LC_ALL": "C"}
    environment.pop("ASSAY_DATABASE", None)
    return urlunsplit(bare), environment | ({"PGPASSWORD": password} if password else {})


def start(
    words: Sequence[str], environment: dict[str, str] | None = None, output: int | IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program; its errors can be read, and its output where `output` is subprocess.PIPE."""
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, env=environment)


def failure(name: str, told: bytes) -> tuple[str, str]:
    """Return what a program says went wrong, and the remedy. Its texts name objects and versions, and never a value."""
    text = told.decode(errors="replace")
    if match := re.search(r"server version: (\d+)[^;]*; pg_dump version: (\d+)", text):
        package = f"postgresql-client-{match[1]}"
        return f"{name} is of version {match[2]}, and the server of version {match[1]}", f"Install {package}."
    if "unsupported version" in text:
        return f"{name} is older than the pg_dump that made it", "Install the postgresql-client of the version that made it."
    if "No space left on device" in text:
        return f"{name}: no space is left on the device", "Free space there, or name another place."
    first = next((line for line in text.splitlines() if "error:" in line), "it ended without a reason")
    first = first.partition("error:")[2].strip() or first
    return f"{name} failed: {first[:300]}", "See the log of PostgreSQL."
