"""Settings: flags over environment over file over defaults; every value knows where it came from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.model.errors import SettingInvalid


@dataclass(frozen=True)
class Setting:
    """One setting: its name in a file, its environment variable, its default, how to read it, what it is for."""

    name: str
    environment: str
    default: str
    read: Callable[[str], Any]
    purpose: str


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"'{text}' is no whole number") from None


def _port(text: str) -> int:
    port = _whole(text)
    if not 0 <= port < 65536:
        raise ValueError("a port lies between 0 (any free one) and 65535")
    return port


def _count(text: str) -> int:
    count = _whole(text)
    if count < 1:
        raise ValueError("at least 1 is needed")
    return count


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(f"'{text}' is no number of seconds") from None
    if not 0 <= seconds < float("inf"):
        raise ValueError("a number of seconds, 0 or more, is needed")
    return seconds


def _yes(text: str) -> bool:
    if text.lower() not in ("yes", "no", "true", "false", "1", "0"):
        raise ValueError("yes or no is needed")
    return text.lower() in ("yes", "true", "1")


def _database(text: str) -> str:
    if text and not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("a URL that begins with postgresql:// is needed, or nothing for SQLite")
    return text


def _level(text: str) -> str:
    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError("one of debug, info, warning, error is needed")
    return text.upper()


def _folders(text: str) -> tuple[Path, ...]:
    return tuple(Path(part).expanduser() for part in text.split(os.pathsep) if part)


SETTINGS = (
    Setting("host", "ASSAY_HOST", "127.0.0.1", str, "address the server listens on"),
    Setting("open_access", "ASSAY_OPEN_ACCESS", "no", _yes, "serve callers that nobody has checked on other addresses"),
    Setting("port", "ASSAY_PORT", "8080", _port, "port the server listens on; 0 picks a free one"),
    Setting("data", "ASSAY_DATA", "~/.local/share/assay", lambda t: Path(t).expanduser(), "folder for everything kept"),
    Setting("database", "ASSAY_DATABASE", "", _database, "postgresql:// URL; empty for a SQLite file in the data folder"),
    Setting("catalog", "ASSAY_CATALOG", "", _folders, "folders with providers/*.yaml, collections/*.yaml"),
    Setting("secrets", "ASSAY_SECRETS_DIR", "", lambda t: Path(t).expanduser() if t else None, "folder of credentials"),
    Setting("engines", "ASSAY_ENGINES_DIR", "", lambda t: Path(t).expanduser() if t else None, "folder of engines"),
    Setting("slots", "ASSAY_SLOTS", str(os.cpu_count() or 1), _count, "runs that a worker executes at once"),
    Setting("grace_seconds", "ASSAY_GRACE_SECONDS", "10", _seconds, "patience with a run whose process ended silently"),
    Setting("lease_seconds", "ASSAY_LEASE_SECONDS", "15", _seconds, "patience with a worker that is silent"),
    Setting("run_timeout_seconds", "ASSAY_RUN_TIMEOUT_SECONDS", "86400", _seconds, "longest time of one run"),
    Setting("max_body_bytes", "ASSAY_MAX_BODY_BYTES", str(10 << 20), _count, "largest request body"),
    Setting("max_log_bytes", "ASSAY_MAX_LOG_BYTES", str(16 << 20), _count, "largest log kept of one attempt"),
    Setting("log_level", "ASSAY_LOG_LEVEL", "info", _level, "what the server's own log shows"),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """The values in force, and where each came from (`flag --port`, `environment ASSAY_PORT`, `file PATH`, `default`)."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]

    def __post_init__(self) -> None:
        vars(self).update(self.values)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    @cached_property
    def secrets_dir(self) -> Path:
        """Where named credentials are looked for."""
        named: Path | None = self.values["secrets"]
        return named or Path(self.values["data"]) / "secrets"

    @cached_property
    def engines_dir(self) -> Path:
        """Where engine environments are: not in the data folder of one server, since they are large and can be shared."""
        named: Path | None = self.values["engines"]
        return named or engines_dir(data_dir())


def load(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ, file: Path | None = None) -> Settings:
    """Return the settings in force. Flags that are None were not given.

    Raises SettingInvalid naming the setting, where it was set and what is wrong with it.
    """
    listed = _from_file(file)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for setting in SETTINGS:
        name = setting.name
        if flags.get(name) not in (None, ()):
            origin, given = f"flag --{name.replace('_', '-')}", flags[name]
        elif environ.get(setting.environment):
            origin, given = f"environment {setting.environment}", environ[setting.environment]
        elif name in listed:
            origin, given = f"file {file}", listed[name]
        else:
            origin, given = "default", setting.default
        try:
            text = os.pathsep.join(map(str, given)) if isinstance(given, list | tuple) else str(given)
            values[name] = setting.read(text)
        except ValueError as error:
            raise SettingInvalid(name=name, origin=origin, problem=str(error)) from error
        origins[name] = origin
    return Settings(values, origins)


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        listed = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingInvalid(name="config", origin=f"file {file}", problem=str(error)) from error
    unknown = set(listed) - {setting.name for setting in SETTINGS}
    if unknown:
        raise SettingInvalid(name=min(unknown), origin=f"file {file}", problem="there is no setting of this name")
    return listed


def data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder where Assay keeps everything, unless told otherwise."""
    return Path(environ.get("ASSAY_DATA") or "~/.local/share/assay").expanduser()


def engines_dir(data: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of engine environments for a data folder."""
    listed = environ.get("ASSAY_ENGINES_DIR")
    return Path(listed).expanduser() if listed else data / "engines"
