"""The settings of a server as a settings file in its backup: what differs from the defaults, and no secret."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from assay.config import SETTINGS, Settings
from assay.config.settings import DEFAULT

NAME = "assay.toml"
_ELSEWHERE = ("data", "database")
"""What a restore is told anew."""


def write(path: Path, settings: Settings) -> None:
    """Write the file durably."""
    lines = [
        "# The settings that were not at their default in the environment and the settings file of `assay backup`.",
        "# Flags of `assay serve` are not among them, nor secrets, nor where the data were.",
    ]
    for setting in SETTINGS:
        hidden = setting.secret or setting.name in settings.from_secrets or setting.name in _ELSEWHERE
        if settings.origins[setting.name] != DEFAULT and not hidden:
            lines.append(f"{setting.name} = {_toml(settings.values[setting.name])}")
    with path.open("x", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps("" if value is None else str(value), ensure_ascii=False)
