"""A slower disk than the machine has: the same program again, in a process whose syncs take longer, as do its children's."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

_VARIABLE = "ASSAY_SYNC_US"


def slow_down(milliseconds: float) -> None:
    """Make each sync take so much longer. Does not return unless that is so already. Needs a C compiler."""
    wanted = str(round(milliseconds * 1000))
    if milliseconds <= 0 or os.environ.get(_VARIABLE) == wanted:
        return
    library = Path(tempfile.gettempdir()) / "assay-slow-sync.so"
    source = Path(__file__).with_suffix(".c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    environment = os.environ | {_VARIABLE: wanted, "LD_PRELOAD": str(library)}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
