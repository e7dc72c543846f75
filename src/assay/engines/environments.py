"""Engine environments: the isolated Python environment that each evaluation library lives in.

`<engines_dir>/<name>/<version>/` holds a virtual environment built from the lock file that ships with Assay,
the engine's task index (`tasks.json`), its caches (`cache/`), and `environment.json`, which is written last:
a folder without it is not installed and is built again. The server and the worker never import what is in
there; they start its interpreter.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

MARKER = "environment.json"
TASK_INDEX = "tasks.json"

_LAST_LINES = 12


class EngineInstallError(Exception):
    """The environment of an engine could not be built; the message names the step, its last lines and the
    remedy.
    """


@dataclass(frozen=True)
class EngineRelease:
    """An engine that this Assay can install: its name, the version of its library, and the lock that pins
    its packages.
    """

    name: str
    version: str
    lock: Path
    entry: Path
    """The program that runs inside the environment."""

    @property
    def lock_sha256(self) -> str:
        """Hexadecimal digest of the lock file."""
        return hashlib.sha256(self.lock.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Environment:
    """An installed engine environment. `python` is its interpreter, `lock_sha256` the lock it was built
    from.
    """

    name: str
    version: str
    path: Path
    python: Path
    lock_sha256: str

    @property
    def task_index(self) -> Path:
        """The index of the library's own tasks, made at install."""
        return self.path / TASK_INDEX

    @property
    def cache(self) -> Path:
        """Where data sets and metrics that the library prepares are kept, shared by all runs."""
        return self.path / "cache"


def catalogued() -> list[EngineRelease]:
    """Return every engine release that `install` knows."""
    folder = Path(__file__).parent / "lm_eval"
    return [EngineRelease("lm_eval", "0.4.13", folder / "requirements.lock", folder / "inside" / "__main__.py")]


def release(name: str) -> EngineRelease:
    """Return the catalogued release of engine `name`; raise EngineInstallError if there is none."""
    for candidate in catalogued():
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in catalogued())
    raise EngineInstallError(f"There is no engine '{name}' to install. Engines with an environment: {names}.")


def environment(engines_dir: Path, name: str) -> Environment | None:
    """Return the installed environment of engine `name`, or None where there is none (or only an
    unfinished one).
    """
    try:
        wanted = release(name)
    except EngineInstallError:
        return None
    path = engines_dir.absolute() / name / wanted.version
    python = _python(path)
    try:
        marker = json.loads((path / MARKER).read_bytes())
        found = Environment(name, str(marker["version"]), path, python, str(marker["lock_sha256"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if python.exists() else None


def install(engines_dir: Path, name: str, *, report: Callable[[str], None]) -> Environment:
    """Make the environment of engine `name` and return it; an installed one with the same lock is returned as
    it is.

    `report` is told each step in a sentence. Concurrent calls wait for each other. Raises EngineInstallError.
    """
    wanted = release(name)
    path = engines_dir.absolute() / name / wanted.version
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_name(f"{wanted.version}.lock")):
            found = environment(engines_dir, name)
            if found and found.lock_sha256 == wanted.lock_sha256:
                report(f"{name} {found.version} is already installed in {found.path}.")
                return found
            return _build(path, wanted, report)
    except OSError as error:
        raise EngineInstallError(
            f"The engine folder {path} cannot be written: {error.strerror or error}. "
            "Free space or choose another folder with --engines-dir, then run the command again."
        ) from error


def _build(path: Path, wanted: EngineRelease, report: Callable[[str], None]) -> Environment:
    # Built in place, because the scripts of a virtual environment hold its absolute path; the marker makes it
    # whole.
    (path / MARKER).unlink(missing_ok=True)
    shutil.rmtree(path / "venv", ignore_errors=True)
    path.mkdir(exist_ok=True)
    python = _python(path)
    uv = _uv()
    report(f"Creating the environment of {wanted.name} {wanted.version} in {path}.")
    if uv:
        _run([*uv, "venv", "--quiet", "--python", sys.executable, str(path / "venv")], "create the environment")
        report("Installing its packages (about 750 MB, once).")
        _run([*uv, "pip", "sync", "--quiet", "--python", str(python), str(wanted.lock)], "install the packages")
    else:
        _run([sys.executable, "-m", "venv", str(path / "venv")], "create the environment")
        report("Installing its packages with pip (about 750 MB, once; uv would be faster).")
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        _run([*pip, "--requirement", str(wanted.lock)], "install the packages")
    report("Making the index of its tasks.")
    index = path / f"{TASK_INDEX}.new"
    _run([str(python), "-I", str(wanted.entry), "index", str(index)], "index the tasks")
    index.replace(path / TASK_INDEX)
    marker = {
        "name": wanted.name,
        "version": wanted.version,
        "python": platform.python_version(),
        "installed_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "lock_sha256": wanted.lock_sha256,
    }
    fresh = path / f"{MARKER}.new"
    fresh.write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path / MARKER)
    report(f"{wanted.name} {wanted.version} is installed.")
    return Environment(wanted.name, wanted.version, path, python, wanted.lock_sha256)


def _python(path: Path) -> Path:
    return path / "venv" / "bin" / "python"


def _uv() -> list[str] | None:
    if found := shutil.which("uv"):
        return [found]
    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else None


def _run(command: list[str], step: str) -> None:
    env = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:])
        raise EngineInstallError(
            f"Could not {step} (exit code {done.returncode} of `{command[0]}`):\n{lines}\n"
            "Check the network or package index and the free disk space, then run the command again."
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
