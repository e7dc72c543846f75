"""Reads a model's credential by reference, from the places where an operator may put secrets.

A reference is `file:///directory` (EvalHub's form: the directory holds `api-key` and perhaps `ca_cert`) or
a plain name, looked up in the secrets directory and then in the environment. A directory may also hold
`allowed_urls`: the endpoints that its key is for, one on a line, and no other is ever sent it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from assay.gateway.errors import CredentialError

MAX_SECRET_BYTES = 64 * 1024
_KEY_FILE = "api-key"
_CA_FILE = "ca_cert"
_URLS_FILE = "allowed_urls"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, repr=False)
class Credential:
    """A secret value and how a request carries it. Its repr and str never show the value.

    `value` None means that the endpoint needs no key (a secret may hold a CA certificate only). The default
    header is `Authorization: Bearer <value>`; Azure wants `header="api-key", prefix=""`.
    """

    value: str | None = field(repr=False)
    source: str = ""
    header: str = "Authorization"
    prefix: str = "Bearer "
    ca_cert: Path | None = None
    allowed_urls: tuple[str, ...] | None = None
    """Where the key may be sent; None: anywhere."""

    def __post_init__(self) -> None:
        if not _HEADER_NAME.fullmatch(self.header):
            raise CredentialError(f"The credential header {self.header!r} is not a header name.")
        # A control character would split the header; anything beyond Latin-1 cannot be sent at all.
        sent = self.prefix + (self.value or "")
        if any(ord(char) < 32 or ord(char) == 127 or ord(char) > 255 for char in sent):
            raise CredentialError(
                f"The secret {self.source or '(unnamed)'} holds characters that a header cannot carry "
                "(line breaks or non-Latin letters). Store the bare key, on one line."
            )

    def headers(self) -> dict[str, str]:
        """The header to add to a request; empty without a value."""
        return {self.header: self.prefix + self.value} if self.value else {}

    def __repr__(self) -> str:
        shown = "set" if self.value else "none"
        return f"Credential(source={self.source!r}, header={self.header!r}, value=<{shown}>)"

    __str__ = __repr__


def resolve(secret_ref: str, secrets_dir: Path | None, environ: Mapping[str, str]) -> Credential:
    """The credential that `secret_ref` names.

    `file:///dir`: the files `api-key`, `ca_cert` and `allowed_urls` of that directory. NAME: `<secrets_dir>/NAME/api-key`,
    `<secrets_dir>/NAME`, then the variable `ASSAY_SECRET_<NAME>` (upper case, `-` and `.` become `_`); the
    first that is there counts. Content is stripped; empty means no key. Raises CredentialError, which names
    the reference and the places looked at.
    """
    if secret_ref.startswith("file:"):
        return _from_directory(secret_ref, _directory(secret_ref))
    if not _NAME.fullmatch(secret_ref):
        raise CredentialError(
            f"The secret reference {secret_ref!r} is neither file:///directory nor a name "
            "(letters, digits, '.', '_' and '-', up to 253)."
        )
    places: list[str] = []
    if secrets_dir is not None:
        places += [str(secrets_dir / secret_ref / _KEY_FILE), str(secrets_dir / secret_ref)]
        if (secrets_dir / secret_ref).is_dir():
            return _from_directory(secret_ref, secrets_dir / secret_ref)
        value = _read(secrets_dir, secret_ref, secret_ref)
        if value is not None:
            return Credential(value or None, secret_ref)
    variable = "ASSAY_SECRET_" + re.sub(r"[.-]", "_", secret_ref).upper()
    places.append(f"the environment variable {variable}")
    if variable in environ:
        return Credential(environ[variable].strip() or None, secret_ref)
    raise CredentialError(
        f"The secret {secret_ref!r} was not found. Looked at: {', '.join(places)}. "
        "Put the key into one of them on the machine where the worker runs."
    )


def _directory(secret_ref: str) -> Path:
    parts = urlsplit(secret_ref)
    path = unquote(parts.path)
    if parts.netloc or not path.startswith("/") or parts.query or parts.fragment or "\0" in path:
        raise CredentialError(f"The secret reference {secret_ref!r} must have the form file:///directory.")
    directory = Path(path)
    try:
        linked = directory.is_symlink() and directory.name != "..data"  # how Kubernetes projects a volume
        usable = directory.is_dir() and not linked
    except OSError as error:
        raise CredentialError(f"The secret directory {directory} cannot be read: {error.strerror}.") from None
    if not usable:
        raise CredentialError(
            f"The secret reference {secret_ref!r} does not name a directory (links are not followed). "
            f"Create {directory} with the key in its file '{_KEY_FILE}'."
        )
    return directory


def _from_directory(secret_ref: str, directory: Path) -> Credential:
    value = _read(directory, _KEY_FILE, secret_ref)
    has_ca = _target(directory, _CA_FILE) is not None
    if value is None and not has_ca:
        raise CredentialError(
            f"The secret {secret_ref!r} has no key: looked at {directory / _KEY_FILE} "
            f"(a regular file, or a link to ..data/{_KEY_FILE}). Put the key into that file."
        )
    urls = _read(directory, _URLS_FILE, secret_ref)
    lines = None if urls is None else map(str.strip, urls.splitlines())
    allowed = None if lines is None else tuple(line for line in lines if line and not line.startswith("#"))
    ca_cert = directory / _CA_FILE if has_ca else None
    return Credential(value or None, secret_ref, ca_cert=ca_cert, allowed_urls=allowed)


def _read(directory: Path, name: str, secret_ref: str) -> str | None:
    """The stripped content of a key file; None when there is no such file."""
    path = _target(directory, name)
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SECRET_BYTES + 1)
        if len(data) <= MAX_SECRET_BYTES:
            return data.decode().strip()
        problem = f"is larger than {MAX_SECRET_BYTES} bytes"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not text"
    raise CredentialError(f"The secret {secret_ref!r}: the file {directory / name} {problem}.") from None


def _target(directory: Path, name: str) -> Path | None:
    """A regular file, or a Kubernetes volume's link `name -> ..data/name` that stays inside the directory."""
    path = directory / name
    try:
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            return path
        if stat.S_ISLNK(mode) and os.readlink(path) == f"..data/{name}":
            target = path.resolve(strict=True)
            if target.is_relative_to(directory.resolve()) and target.is_file():
                return target
    except OSError:
        return None
    return None
