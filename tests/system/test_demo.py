"""`assay demo`, which starts a server, a worker, an engine and a model, and leaves nothing of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .deployment import running, wait_until


def test_a_demo_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    mark = f"MARK_OF_THE_TEST={tmp_path}"
    name, _, value = mark.partition("=")

    def marked() -> list[str]:
        return [command for _, environment, command in running() if mark.encode() in environment.split(b"\0")]

    demo = subprocess.Popen(
        [sys.executable, "-m", "assay", "demo", "--data", str(tmp_path / "data"), "--keep"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {name: value},
    )
    try:
        assert demo.stderr is not None
        while "$ assay eval" not in (line := demo.stderr.readline()):
            assert line, "the demo ended"
        wait_until(lambda: len(marked()) > 3, what="demo, server, model and worker")
    finally:
        demo.kill()
        demo.wait()
    wait_until(lambda: not marked(), 60, "the end of all processes")
