"""How a guard starts a program: in a session of its own, with its limits, its environment and its descriptors."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
from typing import Any

_LIMITS = {
    "memory_bytes": resource.RLIMIT_AS,
    "cpu_seconds": resource.RLIMIT_CPU,
    "nofile": resource.RLIMIT_NOFILE,
}
_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
"""A program finds them as they are in a new session, whatever this interpreter has made of them."""
_NOT_STARTED = 127
"""The exit code of a shell for a program that cannot be executed."""


def start(request: dict[str, Any], descriptors: list[int]) -> tuple[int, int | None]:
    """Start the program of a request; return its number and None, or 0 and an exit code where it cannot be executed.

    Why not is then to be read on its standard error. Moves some of `descriptors`. Raises OSError where its folder cannot be
    entered, ValueError for what no program can be given.
    """
    numbers: list[int] = request["numbers"]
    for place, descriptor in enumerate(descriptors):
        if descriptor in numbers:  # it would be overwritten before it is used
            descriptors[place] = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, max(numbers) + 1)
            os.close(descriptor)
    os.chdir(request["folder"])
    name: str = request["program"][0]
    pairs = list(zip(descriptors, numbers, strict=True))
    try:
        path = _found(name, request["environment"].get("PATH", os.defpath))
        return (_fork if request["limits"] else _spawn)(path, request, pairs), None
    except OSError as error:
        os.write(descriptors[1], f"cannot start {name}: {error.strerror}\n".encode())
        return 0, _NOT_STARTED


def _spawn(path: str, request: dict[str, Any], descriptors: list[tuple[int, int]]) -> int:
    """Start a program without limits: no memory is copied for it, so that this costs half as much as a fork."""
    try:
        return os.posix_spawn(
            path,
            request["program"],
            request["environment"],
            file_actions=[(os.POSIX_SPAWN_DUP2, *pair) for pair in descriptors],
            setsid=True,
            setsigmask=[],
            setsigdef=_SIGNALS,
        )
    except NotImplementedError:  # by a C library that knows no sessions here
        return _fork(path, request, descriptors)


def _fork(path: str, request: dict[str, Any], descriptors: list[tuple[int, int]]) -> int:
    """Start a program with limits. Raises OSError where it cannot be executed, or not be limited so."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _become(path, request, descriptors)
        except (OSError, ValueError) as error:
            os.write(writing, b"%d" % (getattr(error, "errno", None) or 22))
        finally:
            os._exit(_NOT_STARTED)
    os.close(writing)
    with open(reading, "rb") as file:
        failure = int(file.read() or b"0")
    if failure:
        os.waitpid(pid, 0)
        raise OSError(failure, os.strerror(failure))
    return pid


def _become(path: str, request: dict[str, Any], descriptors: list[tuple[int, int]]) -> None:
    os.setsid()
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_DFL)
    limits: dict[str, int] = request["limits"]
    for name, kind in _LIMITS.items():
        if name in limits:
            resource.setrlimit(kind, (limits[name], limits[name]))
    if limits.get("nice"):
        os.nice(limits["nice"])
    for descriptor, number in descriptors:
        os.dup2(descriptor, number)
    os.execve(path, request["program"], request["environment"])  # noqa: S606


def _found(program: str, path: str) -> str:
    """Return where a program is, as its own PATH says."""
    if "/" in program:
        return program
    places = (os.path.join(folder, program) for folder in path.split(os.pathsep))
    return next((place for place in places if os.access(place, os.X_OK)), program)
