"""Writes settings files, and says what they come to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.config import Settings, load
from assay.model.errors import SettingInvalid


def own(folder: Path, text: str) -> Path:
    """Write Assay's own settings file."""
    path = folder / "assay.toml"
    path.write_text(text)
    return path


def evalhub(folder: Path, **sections: Any) -> Path:
    """Write an EvalHub configuration directory; return its `config.yaml`."""
    folder.mkdir(exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(sections, sort_keys=False))
    return path


def loaded(file: Path, environ: Mapping[str, str] | None = None, **flags: Any) -> Settings:
    """Return the settings in force with a file and nothing else but what is given."""
    return load(flags, environ or {}, file)


def problem(file: Path, environ: Mapping[str, str] | None = None) -> str:
    """Return the sentence with which a file is refused."""
    with pytest.raises(SettingInvalid) as refused:
        loaded(file, environ)
    return refused.value.message
