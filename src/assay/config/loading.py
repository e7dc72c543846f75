"""From flags, environment and files to the settings in force."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.config import evalhub, own_file
from assay.config import values as read
from assay.config.settings import DEFAULT, SETTINGS, Setting, Settings
from assay.config.sources import Given, SettingsFile
from assay.model.errors import SettingInvalid

CONFIG = "ASSAY_CONFIG"
"""Names the settings file or folder where `--config` does not."""


def located(given: Path | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the settings file or folder that counts: the given one, else ASSAY_CONFIG's, else EVAL_HUB_CONFIG_DIR's."""
    for path in (given, environ.get(CONFIG), environ.get(evalhub.DIRECTORY)):
        if path:
            return Path(path).expanduser()
    return None


def read_file(path: Path, environ: Mapping[str, str] = os.environ) -> SettingsFile:
    """Read a settings file, or the one in a folder: `assay.toml` is Assay's own form, `config.yaml` EvalHub's.

    Raises SettingInvalid.
    """
    origin = f"file {path}"
    if not path.exists():
        raise SettingInvalid(name="config", origin=origin, problem="it does not exist; name a settings file or its folder")
    if path.is_dir():
        found = [path / name for name in (own_file.NAME, evalhub.NAME) if (path / name).is_file()]
        if len(found) != 1:
            held = "both" if found else "neither"
            problem = f"the folder has {held} of {own_file.NAME} and {evalhub.NAME}; name the file itself"
            raise SettingInvalid(name="config", origin=origin, problem=problem)
        path = found[0]
    if path.suffix in (".yaml", ".yml"):
        return evalhub.read(path, environ)
    if path.suffix == ".toml":
        return own_file.read(path)
    raise SettingInvalid(name="config", origin=origin, problem="a settings file ends in .toml (Assay) or .yaml (EvalHub)")


def load(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ, file: Path | None = None) -> Settings:
    """Return the settings in force. Flags that are None were not given; `file` is a settings file or its folder.

    Raises SettingInvalid naming the setting, where it was set and what is wrong with it.
    """
    listed = read_file(file, environ) if file else None
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    secret = set()
    for setting in SETTINGS:
        given = _given(setting, flags, environ, listed)
        values[setting.name], origins[setting.name] = _value(setting, given), given.origin
        if given.secret:
            secret.add(setting.name)
    if origins["data"] == DEFAULT and values["database"].startswith("file:"):
        # Logs and artifacts belong to the jobs of one database; in a folder of two, each would sweep the other's away.
        values["data"] = read.path(values["database"].removeprefix("file:") + "-files")
        origins["data"] = "beside the database"
    return Settings(values, origins, listed.notes if listed else (), frozenset(secret))


def _given(setting: Setting, flags: Mapping[str, Any], environ: Mapping[str, str], listed: SettingsFile | None) -> Given:
    if flags.get(setting.name) not in (None, ()):
        return Given(flags[setting.name], f"flag {setting.flag}")
    if environ.get(setting.environment):
        return Given(environ[setting.environment], f"environment {setting.environment}")
    if listed and setting.name in listed.given:
        return listed.given[setting.name]
    if setting.also and environ.get(setting.also):
        return Given(environ[setting.also], f"environment {setting.also}")
    return Given(setting.default, DEFAULT)


def _value(setting: Setting, given: Given) -> Any:
    text = setting.separator.join(map(str, given.value)) if isinstance(given.value, list | tuple) else str(given.value)
    try:
        return setting.read(text)
    except ValueError as error:
        problem = str(error)
        if given.secret or setting.secret:
            problem = problem.replace(f"'{text}'", "the value")
        raise SettingInvalid(name=setting.name, origin=given.origin, problem=problem) from error
