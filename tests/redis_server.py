"""A private Redis server: on a port of its own, killed, frozen and started again as a test likes, gone at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PASSWORD = "canary-of-the-redis"

_START_S = 30.0
_MISSING = "Redis is not installed here. Run `make redis` (or install Debian's package `redis-server`) and try again."


class RedisServer:
    """One Redis server that asks for a password and keeps nothing on the disk. It ends when this process does."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="assay-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> RedisServer:
        try:
            self.start()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def socket(self) -> Path:
        return self._folder / "socket"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server, on the same port as before, and wait until it answers. A second start changes nothing."""
        if self._process is not None and self._process.poll() is None:
            return
        for _ in range(20):
            port = self.port or _free_port()
            settings = {"port": str(port), "bind": "127.0.0.1", "unixsocket": str(self.socket), "requirepass": PASSWORD}
            settings |= {"save": "", "appendonly": "no"}
            flags = [word for name, value in settings.items() for word in (f"--{name}", value)]
            log = self._folder / "log"
            with log.open("ab") as out:
                command = ["setpriv", "--pdeathsig", "KILL", program(), *flags]
                self._process = subprocess.Popen(command, stdout=out, stderr=out, cwd=self._folder, start_new_session=True)
            if self._answers(port):
                self.port = port
                return
            if self.port:
                break  # otherwise somebody else took the port meanwhile
        raise AssertionError(f"Redis did not start:\n{(self._folder / 'log').read_text()[-2000:]}")

    def kill(self) -> None:
        """Kill the server as a crash would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Stop the server where it stands: its connections stay open, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def ask(self, *words: str) -> str:
        """Run a command; return what it answers, as redis-cli shows it."""
        command = ["redis-cli", "-p", str(self.port), "--no-auth-warning", *words]
        environment = {**os.environ, "REDISCLI_AUTH": PASSWORD}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return done.stdout.strip()

    def _answers(self, port: int) -> bool:
        """Wait until the server answers; False if it ends instead."""
        assert self._process is not None
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
                probe.sendall(b"PING\r\n")
                if b"NOAUTH" in probe.recv(100):
                    return self._process.poll() is None
            time.sleep(0.02)
        return False


@contextlib.contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Run a Redis server until the end of the block."""
    with RedisServer() as running:
        yield running


def program() -> str:
    """Return the path of the server's program."""
    found = shutil.which("redis-server")
    if not found:
        raise AssertionError(_MISSING)
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
