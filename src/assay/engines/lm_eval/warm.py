"""The warm path: runs forked from an engine host that has imported lm_eval once.

The host is best effort. Whenever it cannot serve, `run` raises HostUnavailable and the caller starts the
ordinary cold process, which does the same work. A host that dies takes its runs with it; each of them ends as
`host_died`, and the next run starts a new host, after a pause that grows with every failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.engines.environments import Environment
from assay.engines.lm_eval.commands import engine_environment, host_command

_MESSAGE_BYTES = 256 * 1024
_START_S = 60.0
_ANSWER_S = 20.0
_LONGEST_PAUSE_S = 60.0
_LONGEST_SOCKET_PATH = 100


class HostUnavailable(Exception):
    """The engine host cannot take this run now; start it as a process of its own."""


class _HostGoneError(HostUnavailable):
    """Nobody answers any more."""


@dataclass(frozen=True)
class Exit:
    """How a hosted run's process ended. `returncode` is negative for a signal, None if the host died
    first.
    """

    returncode: int | None
    host_died: bool = False
    user_s: float = 0.0
    system_s: float = 0.0
    max_rss_bytes: int = 0


class HostedProcess:
    """One run inside the host. Its process is the leader of its own session and group."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self._connection = connection
        self._ending = asyncio.create_task(self._follow())

    async def wait(self) -> Exit:
        """Return how the process ended, once it has; any number of callers may wait."""
        return await asyncio.shield(self._ending)

    def kill(self) -> None:
        """Have the host kill the whole process group; `wait` then returns. Does nothing after the end."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    async def _follow(self) -> Exit:
        loop = asyncio.get_running_loop()
        try:
            message = await loop.sock_recv(self._connection, _MESSAGE_BYTES)
        except OSError:
            message = b""
        finally:
            self._connection.close()
        if message:
            found = json.loads(message)["exit"]
            return Exit(found["returncode"], **found["rusage"])
        # The kernel has killed the run with its host, but not what the run itself had started.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return Exit(None, host_died=True)


@dataclass
class _Process:
    """One generation of the host."""

    process: asyncio.subprocess.Process
    folder: Path
    socket: Path
    started: int = 0
    live: int = 0
    retired: bool = False


class EngineHost:
    """Keeps an engine host going and starts runs in it.

    `recycle_after` runs a fresh host takes over, and the old one ends with its last run. `marker` joins its
    environment, so that its owner finds the process again. Use from one event loop.
    """

    def __init__(self, *, recycle_after: int = 500, marker: dict[str, str] | None = None) -> None:
        self._recycle_after = recycle_after
        self._marker = marker or {}
        self._env: Environment | None = None
        self._folder = Path()
        self._current: _Process | None = None
        self._lock = asyncio.Lock()
        self._failures = 0
        self._not_before = 0.0
        self._followers: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int | None:
        """Process number of the host, or None while there is none."""
        current = self._current
        return current.process.pid if current and current.process.returncode is None else None

    async def start(self, env: Environment, socket_dir: Path) -> None:
        """Start a host for `env`; its socket and log go under `socket_dir`. Raises HostUnavailable."""
        self._env, self._folder = env, socket_dir
        async with self._lock:
            await self._ensure()

    async def run(
        self,
        spec_path: Path,
        *,
        cwd: Path,
        env: dict[str, str],
        stdout: int,
        stderr: int,
        control: int,
        limits: dict[str, int] | None = None,
    ) -> HostedProcess:
        """Start the run that the file `spec_path` specifies and return its process. Raises HostUnavailable.

        `env` is its whole environment but for a safe base. `stdout`, `stderr` and `control` are descriptors;
        the caller closes its copies. `limits`: `cpu_seconds`, `memory_bytes`, `nofile`, `nice`.
        """
        request = {"run": {"spec": str(spec_path), "cwd": str(cwd), "env": env, "limits": limits or {}}}
        try:
            host, connection, answer = await self._begin(request, [stdout, stderr, control])
        except _HostGoneError:
            # It died without an answer, and a child that it may have forked died with it: ask a new one.
            host, connection, answer = await self._begin(request, [stdout, stderr, control])
        if "pid" not in answer:
            connection.close()
            host.live -= 1
            raise HostUnavailable(f"The engine host refused the run: {answer.get('error', answer)}")
        hosted = HostedProcess(answer["pid"], connection)
        follower = asyncio.create_task(self._follow(host, hosted))
        self._followers.add(follower)
        follower.add_done_callback(self._followers.discard)
        return hosted

    async def ping(self) -> dict[str, Any]:
        """Return the host's version, pid, threads and number of runs. Raises HostUnavailable."""
        async with self._lock:
            host = await self._ensure()
        connection, answer = await self._ask(host, {"ping": {}}, [])
        connection.close()
        return answer

    async def close(self) -> None:
        """End the host and every run in it."""
        async with self._lock:
            current, self._current = self._current, None
            self._env = None
            if current:
                await _end(current)
        await asyncio.gather(*self._followers, return_exceptions=True)

    async def _begin(
        self, request: dict[str, Any], descriptors: list[int]
    ) -> tuple[_Process, socket.socket, dict[str, Any]]:
        async with self._lock:
            host = await self._ensure()
            host.started += 1
            host.live += 1
        try:
            return host, *await self._ask(host, request, descriptors)
        except _HostGoneError:
            host.live -= 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(host.process.wait(), 1)
            raise
        except BaseException:
            host.live -= 1
            raise

    async def _ensure(self) -> _Process:
        current = self._current
        if current and current.process.returncode is None:
            if current.started < self._recycle_after:
                return current
            current.retired = True
            self._current = None
            if not current.live:
                await _end(current)
        elif current:
            self._current = None
            self._failed()
            shutil.rmtree(current.folder, ignore_errors=True)
        if self._env is None:
            raise HostUnavailable("The engine host is not started.")
        if sys.platform != "linux":
            raise HostUnavailable("The engine host needs Linux.")
        if (pause := self._not_before - time.monotonic()) > 0:
            raise HostUnavailable(f"The engine host has failed; the next try is in {pause:.1f} s.")
        try:
            self._current = await _spawn(self._env, self._folder, self._marker)
        except (OSError, TimeoutError, HostUnavailable) as error:
            self._failed()
            raise HostUnavailable(f"The engine host does not start: {error}") from error
        return self._current

    def _failed(self) -> None:
        # The first death costs nothing; a host that keeps dying is asked ever more rarely.
        pause = min(_LONGEST_PAUSE_S, 2.0 ** (self._failures - 1)) if self._failures else 0.0
        self._failures += 1
        self._not_before = time.monotonic() + pause

    async def _ask(
        self, host: _Process, message: dict[str, Any], descriptors: list[int]
    ) -> tuple[socket.socket, dict[str, Any]]:
        loop = asyncio.get_running_loop()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.setblocking(False)
        try:
            async with asyncio.timeout(_ANSWER_S):
                await loop.sock_connect(connection, str(host.socket))
                socket.send_fds(connection, [json.dumps(message).encode()], descriptors)
                answer = await loop.sock_recv(connection, _MESSAGE_BYTES)
            if not answer:
                raise ConnectionResetError("it hung up")
            return connection, json.loads(answer)
        except (ConnectionError, FileNotFoundError) as error:
            connection.close()
            raise _HostGoneError(f"The engine host has died: {error}.") from error
        except (OSError, TimeoutError) as error:
            connection.close()
            raise HostUnavailable(f"The engine host does not answer: {error or type(error).__name__}") from error
        except BaseException:
            connection.close()
            raise

    async def _follow(self, host: _Process, hosted: HostedProcess) -> None:
        ending = await hosted.wait()
        if ending.host_died:
            await host.process.wait()
        else:
            self._failures = 0
        host.live -= 1
        if host.retired and not host.live:
            await _end(host)


async def _spawn(env: Environment, parent: Path, marker: dict[str, str]) -> _Process:
    # The kernel limits a socket's path, and a data folder's may be longer.
    fits = len(str(parent)) + len("/host-12345678/s") <= _LONGEST_SOCKET_PATH
    folder = Path(tempfile.mkdtemp(prefix="host-", dir=parent if fits else None))
    path = folder / "s"
    with (folder / "host.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *host_command(env, path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=engine_environment(env, extra=marker),
            cwd=folder,
        )
    host = _Process(process, folder, path)
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), _START_S)
        if line != b"ready\n":
            lines = (folder / "host.log").read_text("utf-8", "replace").strip().splitlines()
            raise HostUnavailable(lines[-1] if lines else "it ended without a word")
    except BaseException:
        await _end(host)
        raise
    return host


async def _end(host: _Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        host.process.terminate()
    try:
        await asyncio.wait_for(host.process.wait(), 5)
    except TimeoutError:
        host.process.kill()
        await host.process.wait()
    shutil.rmtree(host.folder, ignore_errors=True)
