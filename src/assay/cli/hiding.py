"""Takes passwords and keys off this process's command line, which every user of the machine can read."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

from assay.config.masking import passwords

_ARG_START, _ARG_END = 45, 46
"""Where /proc/self/stat has the bounds of the arguments in memory (proc(5), fields 48 and 49), after the program's name."""


def hide_passwords(url: str) -> None:
    """Overwrite the passwords of `url` with `x` wherever it is an argument.

    Until now they could be read; on other systems than Linux they still can.
    """
    hidden = url
    for password in passwords(url):
        for before, after in ((":", "@"), ("=", "")):
            hidden = hidden.replace(before + password + after, before + "x" * len(password.encode()) + after)
    _overwrite(url, hidden)


def hide(secret: str) -> None:
    """Overwrite a secret with `x` wherever it is an argument, or a part of one."""
    _overwrite(secret, "x" * len(secret.encode()))


def _overwrite(text: str, hidden: str) -> None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
        arguments = ctypes.string_at(start, end - start)
        ctypes.memmove(start, arguments.replace(text.encode(), hidden.encode()), len(arguments))
