"""The engine host: imports lm_eval once, then forks a child for every run.

It listens on a UNIX socket (SOCK_SEQPACKET, one JSON object a message, mode 0600). One connection is one run:
`{"run": {"spec", "cwd", "env", "limits"}}` with three descriptors (standard output, standard error, control
channel) is answered by `{"pid"}` and, when the child has ended, by `{"exit": {"pid", "returncode",
"rusage"}}`; a negative return code is a signal. Closing the connection, or its sending half, kills the child
with its whole process group. `{"ping": {}}` is answered by the host's version, pid, threads and number of
runs. `{"error"}` answers a request that cannot be served, such as a run while the host has more than one
thread: a fork would copy locks that nobody releases. The caller then starts a cold process.

The host dies with the process that started it, and its children with the host.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import selectors
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import child, driver
from .settings import keep_offline
from .task_index import TaskIndex

_MESSAGE_BYTES = 256 * 1024
_DESCRIPTORS = 3


def preload() -> str:
    """Import what a run needs and return lm_eval's version. Starts no thread and touches no network."""
    import aiohttp
    import datasets.packaged_modules.json.json
    import lm_eval
    import lm_eval.evaluator
    import lm_eval.models.openai_completions
    import pandas  # type: ignore[import-untyped]
    import pyarrow.json  # type: ignore[import-not-found]

    from . import datasets_guard, isolation, loading, model, report

    assert all((aiohttp, datasets, pandas, pyarrow, datasets_guard, isolation, loading, model, report))
    return str(lm_eval.__version__)


@dataclass
class Running:
    """A child that has not been reaped, its process descriptor, and the connection that waits for its end."""

    pid: int
    pidfd: int
    connection: socket.socket


class Host:
    """Serves run requests on `listener` until it is told to end."""

    def __init__(self, listener: socket.socket, version: str) -> None:
        self._listener = listener
        self._version = version
        self._selector = selectors.DefaultSelector()
        self._running: dict[int, Running] = {}
        self._by_connection: dict[socket.socket, Running] = {}
        self._connections: set[socket.socket] = set()
        self._runs = 0
        self._selector.register(listener, selectors.EVENT_READ, self._accept)

    def serve(self) -> None:
        """Answer requests for ever."""
        while True:
            for key, _ in self._selector.select():
                key.data(key.fileobj)

    def stop(self) -> None:
        """Kill every child."""
        for running in self._running.values():
            _kill(running.pid)

    def _accept(self, _: object) -> None:
        connection, _address = self._listener.accept()
        self._connections.add(connection)
        self._selector.register(connection, selectors.EVENT_READ, self._receive)

    def _receive(self, connection: socket.socket) -> None:
        try:
            message, descriptors, _, _ = socket.recv_fds(connection, _MESSAGE_BYTES, _DESCRIPTORS)
        except OSError:
            message, descriptors = b"", []
        if not message:
            self._hung_up(connection)
            return
        try:
            answer = self._answer(connection, json.loads(message), descriptors)
        except (ValueError, LookupError, TypeError, OSError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        finally:
            for fd in descriptors:
                os.close(fd)
        self._send(connection, answer)

    def _answer(self, connection: socket.socket, message: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        threads = len(os.listdir("/proc/self/task"))
        if "ping" in message:
            return {"version": self._version, "pid": os.getpid(), "threads": threads, "runs": self._runs}
        request = message["run"]
        if len(descriptors) != _DESCRIPTORS:
            return {"error": f"a run needs {_DESCRIPTORS} descriptors, not {len(descriptors)}"}
        if connection in self._by_connection:
            return {"error": "this connection has its run already"}
        if threads > 1:
            return {"error": f"the host has {threads} threads and cannot fork safely"}
        pid = self._fork(request, descriptors)
        self._runs += 1
        running = Running(pid, os.pidfd_open(pid), connection)
        self._running[pid] = self._by_connection[connection] = running
        self._selector.register(running.pidfd, selectors.EVENT_READ, lambda _: self._reap(running))
        return {"pid": pid}

    def _fork(self, request: dict[str, Any], descriptors: list[int]) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            child.live(request, descriptors, parent, self._leave)
        return pid

    def _leave(self) -> None:
        """In a child: let go of everything that is the host's, through its own objects, so that none
        closes a number later.
        """
        self._selector.close()
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def _hung_up(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        running = self._by_connection.get(connection)
        if running:
            # The connection stays open for the exit message; the client may still be reading.
            _kill(running.pid)
        else:
            self._close(connection)

    def _reap(self, running: Running) -> None:
        # Before the leader is reaped its number cannot name another group.
        _kill(running.pid)
        _, status, usage = os.wait4(running.pid, 0)
        self._selector.unregister(running.pidfd)
        os.close(running.pidfd)
        del self._running[running.pid], self._by_connection[running.connection]
        rusage = {
            "user_s": usage.ru_utime,
            "system_s": usage.ru_stime,
            "max_rss_bytes": usage.ru_maxrss * 1024,
        }
        returncode = os.waitstatus_to_exitcode(status)
        self._send(running.connection, {"exit": {"pid": running.pid, "returncode": returncode, "rusage": rusage}})
        if running.connection in self._selector.get_map():
            self._selector.unregister(running.connection)
        self._close(running.connection)

    def _close(self, connection: socket.socket) -> None:
        self._connections.discard(connection)
        connection.close()

    def _send(self, connection: socket.socket, message: dict[str, Any]) -> None:
        try:
            connection.send(json.dumps(message).encode())
        except OSError:
            return


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # The child may not have its own group yet; then it is killed by its own number.
            continue
        else:
            return


def main(arguments: list[str]) -> int:
    """Serve on `--socket PATH`, as a child of process `--parent PID`; prints `ready` when it answers."""
    parser = argparse.ArgumentParser(prog="host")
    parser.add_argument("--socket", required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--task-index")
    options = parser.parse_args(arguments)
    child.die_with_parent(options.parent)
    os.environ.update(keep_offline())
    version = preload()
    if options.task_index:
        driver.LOADED_INDEXES[options.task_index] = TaskIndex.load(Path(options.task_index))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    old_mask = os.umask(0o177)
    listener.bind(options.socket)
    os.umask(old_mask)
    listener.listen(64)
    gc.collect()
    # Objects made so far are never collected, so the collector leaves their pages shared with the children.
    gc.disable()
    gc.freeze()
    host = Host(listener, version)

    def end(*_: object) -> None:
        host.stop()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    host.serve()
    return 0
