"""Assay's own settings file: TOML, one key for each setting, and a table `secret_files` for those that files hold."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from assay.config.settings import SETTINGS
from assay.config.sources import Given, SettingsFile, nearest, read_secret
from assay.model.errors import SettingInvalid

NAME = "assay.toml"
_SECRET_FILES = "secret_files"  # noqa: S105 - the name of a table
_NAMES = tuple(setting.name for setting in SETTINGS)


def read(path: Path) -> SettingsFile:
    """Read the file. Raises SettingInvalid; a key that is no setting is an error, since it can only be a slip."""
    origin = f"file {path}"
    try:
        listed = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingInvalid(name="config", origin=origin, problem=getattr(error, "strerror", None) or str(error)) from error
    secrets = listed.pop(_SECRET_FILES, {})
    if not isinstance(secrets, dict):
        raise SettingInvalid(name=_SECRET_FILES, origin=origin, problem="it must be a table of settings and paths")
    given: dict[str, Given] = {}
    for name, value in listed.items():
        _must_be_known(name, origin)
        given[name] = Given(_plain(name, value, origin), origin)
    for name, file in secrets.items():
        _must_be_known(name, f"{origin}: {_SECRET_FILES}")
        secret = read_secret(path.parent, str(file))
        if secret:
            given[name] = secret
    return SettingsFile(path, given)


def _must_be_known(name: str, origin: str) -> None:
    if name not in _NAMES:
        problem = f"there is no setting of this name{nearest(name, _NAMES)}"
        raise SettingInvalid(name=name, origin=origin, problem=problem)


def _plain(name: str, value: Any, origin: str) -> Any:
    if isinstance(value, dict):
        raise SettingInvalid(name=name, origin=origin, problem="a single value is needed, not a table")
    return value
