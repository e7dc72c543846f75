"""How a program ends with the one that started it, even where that was killed: it holds one end of a pipe, which is closed
with it, and the other end is the program's standard input."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

_STOP_S = 15.0


def watch(gone: Callable[[], object]) -> None:
    """Call `gone`, in a thread of its own, when standard input ends.

    A thread waits: a pipe from asyncio would need a loop of its own kind.
    """

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        gone()

    threading.Thread(target=wait, name="assay-parent", daemon=True).start()


def end_with_it() -> None:
    """Have this process ended when standard input does: by SIGTERM, and for certain some seconds later."""

    def end() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_STOP_S)
        os._exit(1)

    watch(end)
