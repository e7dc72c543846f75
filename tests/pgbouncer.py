"""A private PgBouncer in transaction mode before a private PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.postgres import PASSWORD, ROLE, Cluster

_START_S = 30.0
_MISSING = "PgBouncer is not installed here. Run `make pgbouncer` (or install Debian's package `pgbouncer`) and try again."
_SETTINGS = """[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 4
ignore_startup_parameters = extra_float_digits
"""


@contextlib.contextmanager
def transaction_pooler(postgres: Cluster) -> Iterator[int]:
    """Run a pooler that lends one of few connections for each transaction; yield its port. It ends with this process."""
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, _MISSING
    folder = Path(tempfile.mkdtemp(prefix="assay-pgbouncer-"))
    try:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        (folder / "users").write_text(f'"{ROLE}" "{PASSWORD}"\n')
        (folder / "settings").write_text(_SETTINGS.format(server=postgres.port, port=port, folder=folder))
        words = ["setpriv", "--pdeathsig", "KILL"]
        if os.geteuid() == 0:  # as which it refuses to run
            owner = pwd.getpwnam("postgres")
            for path in (folder, *folder.iterdir()):
                os.chown(path, owner.pw_uid, owner.pw_gid)
            words += ["--reuid=postgres", "--regid=postgres", "--init-groups"]
        log = (folder / "log").open("w")
        with log, subprocess.Popen([*words, found, "settings"], stdout=log, stderr=log, cwd=folder) as process:
            try:
                _wait(port, process, folder / "log")
                yield port
            finally:
                process.kill()
    finally:
        shutil.rmtree(folder)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"PgBouncer did not start:\n{log.read_text()[-2000:]}")
