"""Reads the keys of registries from a Docker `config.json`, the file that `docker login` writes and Kubernetes keeps."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from assay.exports.remote import RemoteFailed

_LARGEST = 1 << 20
_FILES = (".dockerconfigjson", "config.json")
_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True, repr=False)
class Login:
    """How to prove oneself to a registry: user and password, or a ready token. Neither: as nobody."""

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The Authorization header of user and password; empty without them."""
        if not self.user:
            return ""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def find(secrets_dir: Path, connection: str, fallback: Path | None) -> Path | None:
    """Return the file for a named connection: of that secret where there is one, else `fallback`.

    `<secrets>/<connection>` is the file itself, or a folder with `.dockerconfigjson` or `config.json`.
    """
    if connection and "/" not in connection and not connection.startswith("."):
        named = secrets_dir / connection
        for path in (named, *(named / name for name in _FILES)):
            if path.is_file():
                return path
    return fallback


def login(file: Path | None, host: str) -> Login:
    """Return the login for `host` (`registry.example:5000`), that of nobody where none is listed. Raises RemoteFailed."""
    if file is None:
        return Login()
    try:
        with file.open("rb") as opened:
            listed = msgspec.json.decode(opened.read(_LARGEST), type=_File).auths
    except OSError as error:
        raise RemoteFailed(f"the file {file} with the keys of registries cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RemoteFailed(f"the file {file} is no Docker config.json: it needs an object 'auths'") from None
    for name, entry in listed.items():
        if _same(name, host):
            return _login(file, name, entry)
    return Login()


class _File(msgspec.Struct):
    auths: dict[str, dict[str, Any]] = {}


def _same(name: str, host: str) -> bool:
    """Say whether an entry is about `host`: entries may be URLs, and Docker Hub has several names."""
    bare = name.partition("://")[2] or name
    bare = bare.partition("/")[0].lower()
    return bare == host or (bare in _DOCKER_HUB and host in _DOCKER_HUB)


def _login(file: Path, name: str, entry: Mapping[str, Any]) -> Login:
    if token := entry.get("registrytoken"):
        return Login(token=str(token))
    if auth := entry.get("auth"):
        try:
            user, _, password = base64.b64decode(str(auth), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise RemoteFailed(f"the entry '{name}' of {file} is not usable: 'auth' is no base64 text") from None
        return Login(user, password.rstrip("\0"))
    return Login(str(entry.get("username", "")), str(entry.get("password", "")))
