"""Stands between the worker and the program of a run: `python -I -S launch.py PARENT LIMITS -- PROGRAM ARGUMENT...`.

Starts the program in a session of its own with its limits (JSON: `memory_bytes`, `cpu_seconds`, `nofile`, `nice`), and ends
as it ends. Whatever the program starts stays below this process, even what is orphaned in a session of its own and with an
empty environment, and is killed when the program ends, or when the worker (process PARENT) does.
Uses the standard library alone and imports nothing of Assay.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE_S = 5.0
"""With processes that SIGKILL does not end at once, such as those waiting for a disk."""


def main(arguments: list[str]) -> None:
    """Run the program; leave nothing of it behind."""
    parent, limits, program = int(arguments[0]), json.loads(arguments[1]), arguments[3:]
    prctl = ctypes.CDLL(None).prctl

    def told(*_: object) -> None:
        if os.getppid() != parent:  # else the program has got the signal itself, and its time to heed it
            _end_all()
            os._exit(1)

    signal.signal(signal.SIGTERM, told)
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    own = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != own:
            os._exit(1)
        _become(program, limits)
    # Only the program's processes hold its pipes now: they close with the last of them.
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        os.dup2(nothing, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    told()
    while True:
        pid, status = os.wait()
        if pid == child:
            break
    _end_all()
    _end_as(os.waitstatus_to_exitcode(status))


def _become(program: list[str], limits: dict[str, int]) -> None:
    os.setsid()
    for name, kind in (
        ("memory_bytes", resource.RLIMIT_AS),
        ("cpu_seconds", resource.RLIMIT_CPU),
        ("nofile", resource.RLIMIT_NOFILE),
    ):
        if name in limits:
            resource.setrlimit(kind, (limits[name], limits[name]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits.get("nice"):
        os.nice(limits["nice"])
    try:
        os.execvp(program[0], program)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"cannot start {program[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127)


def _end_all() -> None:
    """Kill everything below this process: what a killed process leaves behind becomes this one's child in turn."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


def _children() -> list[int]:
    own, found = str(os.getpid()), []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                # The command, in parentheses, may hold anything: the state and the parent come after it.
                if file.read().rpartition(")")[2].split()[1] == own:
                    found.append(int(entry))
    return found


def _end_as(code: int) -> None:
    """End with the exit code, or by the signal (negative), of the program."""
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError, ValueError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main(sys.argv[1:])
