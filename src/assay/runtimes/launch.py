"""Runs inside a new process, before the program of a run: `python -I -S launch.py LIMITS -- PROGRAM ARGUMENT...`.

Asks the kernel to kill this process when the worker dies, sets the limits (JSON: `memory_bytes`, `cpu_seconds`, `nofile`,
`nice`), and becomes the program. Uses the standard library alone and imports nothing of Assay.
"""

import ctypes
import json
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Set limits and become the program."""
    parent, limits, program = int(arguments[0]), json.loads(arguments[1]), arguments[3:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the request above took effect
            os.kill(os.getpid(), signal.SIGKILL)
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
        os._exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
