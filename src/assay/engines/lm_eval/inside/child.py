"""What a forked child of the engine host does before and after its run: become a process of its own, then
end without ceremony.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_CONTROL_FD = 3
_ABOVE_ALL_FDS = 1 << 20
_BASE = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_LIMITS = {
    "cpu_seconds": resource.RLIMIT_CPU,
    "memory_bytes": resource.RLIMIT_AS,
    "nofile": resource.RLIMIT_NOFILE,
}


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; end at once if process `parent` has ended
    already.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def live(request: dict[str, Any], descriptors: list[int], parent: int, leave: Callable[[], None]) -> None:
    """Carry out `request` in this freshly forked process and end it; never returns.

    `descriptors` are the new standard output, standard error and control channel. `leave` closes what belongs
    to the host.
    """
    code = 70
    try:
        os.setsid()
        die_with_parent(parent)
        _take_descriptors(descriptors, leave)
        _reset_signals()
        _environment(request.get("env") or {})
        os.chdir(request["cwd"])
        _limit(request.get("limits") or {})
        gc.enable()
        from .driver import run
        from .events import Control

        code = run(request["spec"], Control(_CONTROL_FD), warm=True)
    except BaseException as error:
        os.write(2, f"engine child: {type(error).__name__}: {error}\n".encode("utf-8", "replace"))
    finally:
        os._exit(code)


def _take_descriptors(descriptors: list[int], leave: Callable[[], None]) -> None:
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in descriptors]
    leave()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, fd in enumerate(high, 1):
        os.dup2(fd, number, inheritable=number < _CONTROL_FD)
    os.closerange(_CONTROL_FD + 1, _ABOVE_ALL_FDS)
    # New objects: the host's own believe that they write to what the host wrote to, which may have been seekable.
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _reset_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _environment(given: dict[str, str]) -> None:
    kept = {name: os.environ[name] for name in _BASE if name in os.environ}
    os.environ.clear()
    os.environ.update(kept | given)


def _limit(limits: dict[str, int]) -> None:
    for name, kind in _LIMITS.items():
        if (wanted := limits.get(name)) is not None:
            hard = resource.getrlimit(kind)[1]
            value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(kind, (value, value))
    if nice := limits.get("nice"):
        os.nice(nice)
