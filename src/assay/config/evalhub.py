"""EvalHub's configuration directory: `config.yaml`, with `providers/` and `collections/` beside it.

Laid over each other as EvalHub does it: the file, then the environment variables that its `env_mappings` list, then the file
of CONFIG_PATH, each of whose top-level keys replaces the whole key, then the secret files that `secrets` maps to keys. What
comes out is turned into Assay's settings by the table of `evalhub_keys`. A key that EvalHub would ignore in silence gets a
note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assay.config.evalhub_keys import DIRECT_VARIABLES, KEYS, WHOLE_SECTIONS
from assay.config.sources import Given, SettingsFile, nearest, read_secret
from assay.config.values import yes
from assay.model.errors import SettingInvalid

NAME = "config.yaml"
DIRECTORY = "EVAL_HUB_CONFIG_DIR"
OVERLAY = "CONFIG_PATH"
_BY_NAME = {key.name: key for key in KEYS}
_METRICS_PORT = 8081
_ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - EvalHub's default for its metrics
_ENTRIES = ("providers", "collections")

_Keys = dict[str, Given]


def read(path: Path, environ: Mapping[str, str]) -> SettingsFile:
    """Read the file and what it refers to. Raises SettingInvalid."""
    listed = _document(path)
    keys = dict(_leaves(listed, path))
    mapped = _mapping(listed, "env_mappings", path)
    keys |= {key: Given(environ[name], f"environment {name}") for name, key in mapped.items() if environ.get(name)}
    if environ.get(OVERLAY):
        over = Path(environ[OVERLAY]).expanduser()
        replacing = _document(over)
        keys = {name: given for name, given in keys.items() if name.partition(".")[0] not in replacing}
        keys |= dict(_leaves(replacing, over))
        listed |= replacing
    keys |= _secrets(listed, path)
    given, notes = _settings(keys)
    for name, (setting, turn) in DIRECT_VARIABLES.items():
        if environ.get(name):
            given[setting] = Given(turn(environ[name]), f"environment {name}")
    if any((path.parent / name).is_dir() for name in _ENTRIES):
        given["catalog"] = Given([path.parent], f"beside {path}")
    return SettingsFile(path, given, tuple(notes))


def _document(path: Path) -> dict[str, Any]:
    import yaml  # here, since most commands read no such file and should start at once

    from assay.config.yaml_text import parsed

    try:
        listed = parsed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise SettingInvalid(name="config", origin=f"file {path}", problem=problem) from error
    if listed is None:
        return {}
    if not isinstance(listed, dict):
        raise SettingInvalid(
            name="config", origin=f"file {path}", problem="it must be a mapping, such as `service: {port: 8080}`"
        )
    return {str(name): value for name, value in listed.items()}


def _leaves(listed: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Given]]:
    """Yield the values of a document by their dotted keys; a key without a value is as good as none."""
    for section, held in listed.items():
        if section in ("env_mappings", "secrets") or held is None:
            continue
        if not isinstance(held, dict):
            sections = {key.name.partition(".")[0] for key in KEYS}
            if section in sections:
                problem = "it must be a mapping of keys and values"
                raise SettingInvalid(name=section, origin=f"file {path}", problem=problem)
            held = {"": held}
        try:
            leaves = list(_flat(held))
        except RecursionError:
            raise SettingInvalid(name=section, origin=f"file {path}", problem="it must not contain itself") from None
        for name, value in leaves:
            key = f"{section}.{name}".rstrip(".")
            if value is not None:
                yield key, Given(value, f"file {path}: {key}")


def _flat(held: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in held.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _mapping(listed: Mapping[str, Any], name: str, path: Path) -> dict[str, str]:
    """Return a mapping of texts. Raises SettingInvalid."""
    held = listed.get(name) or {}
    if not isinstance(held, dict) or not all(isinstance(value, str) for value in held.values()):
        problem = "it must be a mapping of names to keys, such as `PORT: service.port`"
        raise SettingInvalid(name=name, origin=f"file {path}", problem=problem)
    return {str(key): value for key, value in held.items()}


def _secrets(listed: Mapping[str, Any], path: Path) -> _Keys:
    """Return the keys that secret files hold; none where their folder does not exist."""
    secrets = listed.get("secrets") or {}
    if not isinstance(secrets, dict):
        raise SettingInvalid(name="secrets", origin=f"file {path}", problem="it must have `dir` and `mappings`")
    folder = Path(str(secrets.get("dir") or "")).expanduser()
    if not secrets.get("dir") or not folder.is_dir():
        return {}
    mapped = _mapping({"secrets.mappings": secrets.get("mappings")}, "secrets.mappings", path)
    found = {key: read_secret(folder, file) for file, key in mapped.items()}
    return {key: given for key, given in found.items() if given}


def _settings(keys: _Keys) -> tuple[_Keys, list[str]]:
    """Return the settings that the keys come to, and notes on those that come to none."""
    found: _Keys = {}
    notes = []
    silent = () if _is_on("otel.enabled", keys) else ("otel",)
    for name, given in keys.items():
        key = _BY_NAME.get(name)
        if name.partition(".")[0] in silent:
            continue
        if key is None:
            notes.append(_note(name, given))
        elif key.without_effect:
            notes.append(f"{name} ({_where(name, given)}) has no effect: {key.without_effect}.")
        elif key.setting:
            value = _turned(name, key.turn, given)
            if value is not None:
                found[key.setting] = Given(value, given.origin, given.secret)
    _check_driver(keys, found)
    _add_metrics(keys, found)
    return found, list(dict.fromkeys(notes))


def _note(name: str, given: Given) -> str:
    section, where = name.partition(".")[0], _where(name, given)
    if section in WHOLE_SECTIONS:
        return f"{section} ({where}) has no effect: {WHOLE_SECTIONS[section]}."
    return f"{name} ({where}) is not known and has no effect{nearest(name, _BY_NAME) or '.'}"


def _where(name: str, given: Given) -> str:
    return given.origin.removesuffix(f": {name}")


def _turned(name: str, turn: Any, given: Given) -> Any:
    try:
        if isinstance(given.value, list | dict):
            raise ValueError("a single value is needed")
        return turn(given.value)
    except ValueError as error:
        problem = str(error).replace(f"'{given.value}'", "the value") if given.secret else str(error)
        raise SettingInvalid(name=name, origin=given.origin, problem=problem) from error


def _check_driver(keys: _Keys, found: _Keys) -> None:
    """Raise SettingInvalid for a driver that does not fit the URL."""
    driver = keys.get("database.driver")
    if driver is None:
        return
    url = str(found["database"].value) if "database" in found else ""
    if driver.value not in ("sqlite", "pgx"):
        problem = f"'{driver.value}' is not known; write sqlite or pgx"
    elif driver.value == "pgx" and not url.startswith("postgres"):
        problem = "pgx needs a database.url that begins with postgres://"
    elif driver.value == "sqlite" and url.startswith("postgres"):
        problem = "database.url is one of PostgreSQL; write pgx, or a URL such as file:eval.db"
    else:
        return
    raise SettingInvalid(name="database.driver", origin=driver.origin, problem=problem)


def _add_metrics(keys: _Keys, found: _Keys) -> None:
    """Give the metrics their own listener where Prometheus is enabled, on EvalHub's default address where none is named."""
    if not _is_on("prometheus.enabled", keys):
        found.pop("metrics_port", None)
        found.pop("metrics_host", None)
        return
    origin = keys["prometheus.enabled"].origin
    found.setdefault("metrics_port", Given(_METRICS_PORT, origin))
    found.setdefault("metrics_host", Given(_ALL_ADDRESSES, origin))


def _is_on(name: str, keys: _Keys) -> bool:
    """Say whether a key is there and says yes."""
    given = keys.get(name)
    return given is not None and bool(_turned(name, lambda value: yes(str(value)), given))
