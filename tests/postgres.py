"""A private PostgreSQL server: started in a folder of its own, killed and started again as a test likes, gone at the end."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

ROLE, PASSWORD = "assay", "canary-of-the-database"
"""Who the servers under test are: the owner of its database, and nothing more."""

_ADMIN = "postgres"
_START_S = 60.0
_MISSING = (
    "PostgreSQL is not installed here. Run `make postgresql` (or install Debian's package `postgresql`) and try again."
)


class Cluster:
    """One PostgreSQL server on a port of its own. `durable`: it syncs to the disk, which only tests of crashes need."""

    def __init__(self, *, durable: bool = False, settings: Mapping[str, str] | None = None) -> None:
        # The user `postgres` cannot pass through pytest's folders, which are root's alone.
        base = "/dev/shm" if not durable and os.access("/dev/shm", os.W_OK) else None
        self._folder = Path(tempfile.mkdtemp(prefix="assay-postgres-", dir=base))
        self._data, self._log = self._folder / "data", self._folder / "log"
        self._settings = {} if durable else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        self._settings |= {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(self._folder), **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self.port = 0
        try:
            self._create()
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGQUIT)  # nothing in it is needed any more
        shutil.rmtree(self._folder)

    def url(self, database: str, role: str = ROLE, password: str = PASSWORD, scheme: str = "postgresql") -> str:
        """Return the URL of a database."""
        return f"{scheme}://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server, on the same port as before, and wait until it takes connections."""
        for _ in range(20):
            port = self.port or _free_port()
            flags = [argument for name, value in self._settings.items() for argument in ("-c", f"{name}={value}")]
            command = [*_unprivileged(), program("postgres"), "-D", str(self._data), "-p", str(port), *flags]
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, start_new_session=True)
            if self._answers(port):
                self.port = port
                return
            if self.port or "could not bind" not in self._log.read_text():
                break  # otherwise somebody else took the port meanwhile
            self._log.write_text("")
        raise AssertionError(f"PostgreSQL did not start:\n{self._log.read_text()[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server. SIGINT ends its clients, SIGQUIT does not even tidy up (it recovers at the next start)."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(_START_S)

    def kill(self) -> None:
        """Kill the server and all of its processes as a crash of the machine would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)  # so that it starts no new ones meanwhile
        children = self.pids()[1:]
        for pid in [*children, self._process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        # A server does not start again while a process of the one before still holds its shared memory.
        deadline = time.monotonic() + _START_S
        while any(_alive(pid) for pid in children) and time.monotonic() < deadline:
            time.sleep(0.01)

    def pids(self) -> list[int]:
        """Return the server's process and those that it has started for its work and for each connection."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [self._process.pid, *map(int, children)]

    def sql(self, statement: str, database: str = _ADMIN, role: str = _ADMIN) -> str:
        """Run a statement as the administrator (or another role) and return what it answers."""
        command = [program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(database, role), "-c", statement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def create_database(self) -> str:
        """Make an empty database that belongs to the role; return its name."""
        self._databases += 1
        name = f"assay{self._databases}"
        self.sql(f"CREATE DATABASE {name} OWNER {ROLE}")
        return name

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database that is gone after the block; yield its URL."""
        name = self.create_database()
        yield self.url(name)
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def _create(self) -> None:
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_ADMIN)
            for path in (self._folder, secret):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        options = ["-U", _ADMIN, "-A", "scram-sha-256", "--pwfile", str(secret), "--no-sync", "-E", "UTF8"]
        options += ["--locale-provider=icu", "--icu-locale=en", "--locale=C.UTF-8"]  # as people have it, not byte by byte
        command = [*_unprivileged(), program("initdb"), "-D", str(self._data), *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self._folder, check=False)
        assert done.returncode == 0, done.stderr

    def _answers(self, port: int) -> bool:
        """Wait until the server takes connections; False if it ends instead."""
        assert self._process is not None
        ready = [program("pg_isready"), "-q", "-h", str(self._folder), "-p", str(port)]
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if subprocess.run(ready, check=False).returncode == 0:
                return True
            time.sleep(0.02)
        return False


def _alive(pid: int) -> bool:
    """Say whether a process still has memory: a zombie has none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@contextlib.contextmanager
def cluster(*, durable: bool = False, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Run a PostgreSQL server with the role that owns the databases, until the end of the block."""
    with Cluster(durable=durable, settings=settings) as running:
        running.sql(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
        yield running


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, of the newest version. Debian keeps them out of PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    found = [str(folder / name) for folder in versions if (folder / name).exists()] or [shutil.which(name) or ""]
    if not found[0]:
        raise AssertionError(_MISSING)
    return found[0]


def _unprivileged() -> list[str]:
    """Return the words before a command that PostgreSQL refuses to run as root, and that ends when its parent does."""
    words = ["setpriv", "--pdeathsig", "QUIT"]
    if os.geteuid() == 0:
        words += [f"--reuid={_ADMIN}", f"--regid={_ADMIN}", "--init-groups"]
    return words


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
