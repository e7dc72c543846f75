"""The peer: eval-hub-server from PyPI, in an environment of its own, on a SQLite file or a PostgreSQL database.

Everything is as it comes, but for its log level: it would write a line for each request, and we write none.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.postgres import Cluster

from benchmarks.servers import Server

VERSION = "1.0.2"

_CONFIG = """\
service: {{port: {port}, host: "127.0.0.1"}}
database: {{driver: {driver}, url: "{url}"}}
"""


def executable() -> Path:
    """Return the peer's program, installed first where it is missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay-benchmarks"
    folder = cache / f"eval-hub-server-{VERSION}"
    program = folder / "bin" / "eval-hub-server"
    if not program.exists():
        uv = [shutil.which("uv") or sys.executable] + ([] if shutil.which("uv") else ["-m", "uv"])
        print(f"Installing eval-hub-server {VERSION} into {folder}.", file=sys.stderr)
        subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
        python = folder / "bin" / "python"
        package = f"eval-hub-server=={VERSION}"
        subprocess.run([*uv, "pip", "install", "--quiet", "--python", str(python), package], check=True)
    return program


def peer(folder: Path, catalogue: Path, postgres: str = "") -> Server:
    """Start the peer on a free port, with the providers of `catalogue`. `postgres`: URL of its database; else a file."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    configuration = folder / "config"
    shutil.copytree(catalogue, configuration, dirs_exist_ok=True)
    driver, url = ("pgx", postgres) if postgres else ("sqlite", f"file:{folder / 'eval.db'}")
    (configuration / "config.yaml").write_text(_CONFIG.format(port=port, driver=driver, url=url))
    began = time.perf_counter()
    command = [str(executable()), "-local", "-configdir", str(configuration)]
    server = Server("eval-hub", command, folder / "server.log", {"LOG_LEVEL": "error"}, f"http://127.0.0.1:{port}")
    while True:
        try:
            urllib.request.urlopen(f"{server.url}/api/v1/health", timeout=5).close()
            break
        except OSError:
            if time.perf_counter() - began > 30:
                server.stop()
                raise SystemExit(f"the peer did not start; see {folder / 'server.log'}") from None
            time.sleep(0.005)
    server.start_ms = (time.perf_counter() - began) * 1e3
    return server


def remove_leftovers(folder: Path, postgres: Cluster | None = None, database: str = "") -> None:
    """Remove the folders that the peer made for its jobs, outside its own, once it has stopped."""
    query = "SELECT id FROM evaluations"
    if postgres:
        ids = postgres.sql(query, database).split()
    else:
        connection = sqlite3.connect(folder / "eval.db")
        ids = [row[0] for row in connection.execute(query)]
        connection.close()
    for job_id in ids:
        shutil.rmtree(Path(tempfile.gettempdir(), "evalhub-jobs", job_id), ignore_errors=True)
