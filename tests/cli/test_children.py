from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from assay.cli.children import Child
from assay.cli.exits import CommandError


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_child_tells_its_url_when_it_is_ready_and_is_gone_afterwards(tmp_path: Path) -> None:
    arguments = ("--port", "0")
    with Child("model", "assay.practice", arguments, ready=r"ready on (http\S+)", log=tmp_path / "log") as child:
        url = child.wait_ready(60)
        with urllib.request.urlopen(f"{url}/models") as answer:
            assert answer.status == 200
    assert _gone(child.pid)


_PARENT = """
import sys
from pathlib import Path
from assay.cli.children import Child
module, log, *arguments = sys.argv[1:]
with Child("child", module, arguments, ready=r"ready on (http\\S+)", log=Path(log)) as child:
    child.wait_ready(60)
    print(child.pid, flush=True)
    child.wait()
"""


@pytest.mark.parametrize("program", ["model", "server"])
def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path, program: str) -> None:
    arguments = {
        "model": ["assay.practice", "--port", "0"],
        "server": ["assay", "serve", "--port", "0", "--data", str(tmp_path / "data")],
    }[program]
    module, *rest = arguments
    command = [sys.executable, "-c", _PARENT, module, str(tmp_path / "log"), *rest]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not _gone(child)
        parent.kill()
    deadline = time.monotonic() + 60
    while not _gone(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _gone(child)
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_child_that_cannot_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    arguments = ("--port", "not-a-port")
    with (
        Child("practice model", "assay.practice", arguments, ready=r"ready on (http\S+)", log=tmp_path / "log") as child,
        pytest.raises(CommandError, match=r"(?s)The practice model ended\. It said:.*not-a-port"),
    ):
        child.wait_ready(60)


def test_a_child_is_stopped_when_its_block_fails(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        Child("model", "assay.practice", ("--port", "0"), ready="(http)", log=tmp_path / "log") as child,
    ):
        raise KeyboardInterrupt
    assert _gone(child.pid)
