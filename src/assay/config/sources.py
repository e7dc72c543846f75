"""What a settings file gives, whichever its form: values with origins, and notes; and secret files, which both name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.model.errors import SettingInvalid

_OPTIONAL = ":optional"


@dataclass(frozen=True)
class Given:
    """A value as it was written, and where. `secret`: it came from a secret file."""

    value: Any
    origin: str
    secret: bool = False


@dataclass(frozen=True)
class SettingsFile:
    """What a file gives: settings by name, and sentences about what has no effect here. `path` is the file that was read."""

    path: Path
    given: Mapping[str, Given]
    notes: tuple[str, ...] = field(default=())


def read_secret(folder: Path, listed: str) -> Given | None:
    """Return the content of a secret file without the line break at its end; `folder` is where relative paths start.

    A name that ends in `:optional` may be missing: then None. Raises SettingInvalid for any other that cannot be read.
    """
    name = listed.removesuffix(_OPTIONAL)
    path = folder / name
    try:
        return Given(path.read_text(encoding="utf-8").rstrip("\r\n"), f"secret {path}", secret=True)
    except FileNotFoundError as error:
        if listed.endswith(_OPTIONAL):
            return None
        problem = f"the file is not there; put it there, or write {name}{_OPTIONAL} if it may be missing"
        raise SettingInvalid(name=name, origin=f"secret {path}", problem=problem) from error
    except (OSError, UnicodeDecodeError) as error:
        problem = f"it cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}"
        raise SettingInvalid(name=name, origin=f"secret {path}", problem=problem) from error


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a question that names what `name` may have meant, or nothing. A key is compared with those of its section."""
    section, dot, key = name.rpartition(".")
    names = list(known)
    beside = [other.removeprefix(section + dot) for other in names if dot and other.startswith(section + dot)]
    close = [section + dot + other for other in difflib.get_close_matches(key, beside, n=1, cutoff=0.7)]
    close = close or ([] if beside else difflib.get_close_matches(name, names, n=1, cutoff=0.7))
    return f"; did you mean {close[0]}?" if close else ""
