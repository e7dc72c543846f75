"""A private nginx with the configuration of `examples/load-balancer`, before servers under test."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

EXAMPLE = Path(__file__).parents[1] / "examples" / "load-balancer" / "assay.conf"

_START_S = 30.0
_MISSING = "nginx is not installed here. Run `make nginx` (or install Debian's package `nginx`) and try again."
_MAIN = """daemon off;
{user}
pid {folder}/pid;
error_log stderr warn;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/assay.conf;
}}
"""


@contextlib.contextmanager
def load_balancer(folder: Path, first: str, second: str) -> Iterator[str]:
    """Run nginx before the servers at two URLs; yield its URL. It ends when this process does."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, _MISSING
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    text = EXAMPLE.read_text()
    for before, after in (
        ("127.0.0.1:8080", f"127.0.0.1:{port}"),
        ("127.0.0.1:8081", urlsplit(first).netloc),
        ("127.0.0.1:8082", urlsplit(second).netloc),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    (folder / "assay.conf").write_text(text)
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, user="user root;" if os.geteuid() == 0 else ""))
    command = ["setpriv", "--pdeathsig", "TERM", found, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    log = (folder / "log").open("w")
    with log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait(port, process, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"nginx did not start:\n{log.read_text()[-2000:]}")
