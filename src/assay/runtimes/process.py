"""The process runtime: an attempt as a process tree of its own on the worker's machine."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assay.runtimes import tree

_LAUNCH = Path(__file__).with_name("launch.py")
_STOP_GRACE_S = 0.8
"""Between SIGTERM and SIGKILL: a cancelled run is gone within two seconds."""


@dataclass(frozen=True)
class Command:
    """A program to run: its arguments, whole environment, folder, limits, and further descriptors that it inherits."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    marker: str
    limits: Mapping[str, int] = field(default_factory=dict)
    descriptors: Sequence[int] = ()


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (negative: the signal that killed it), and whether it was stopped or timed out."""

    code: int
    stopped: bool = False
    timed_out: bool = False

    @property
    def sentence(self) -> str:
        """Say what happened, for a user."""
        if self.code < 0:
            return f"The process was killed by signal {-self.code}."
        return f"The process exited with code {self.code}."


async def run(
    command: Command,
    *,
    stop: asyncio.Event,
    timeout_s: float,
    output: Callable[[str, bytes], None],
    started: Callable[[], Awaitable[None]],
) -> Ended:
    """Run a command to its end; give each chunk of its output to `output` (stream name, bytes).

    Ends the whole tree when `stop` is set, when the time is over, when this task is cancelled, and when the first process
    has ended and left others behind. Raises OSError when the program cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        str(_LAUNCH),
        str(os.getpid()),
        json.dumps(dict(command.limits)),
        "--",
        *command.arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(command.environment),
        cwd=command.folder,
        start_new_session=True,
        pass_fds=command.descriptors,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    readers = [
        asyncio.create_task(_drain("stdout", process.stdout, output)),
        asyncio.create_task(_drain("stderr", process.stderr, output)),
    ]
    stopped = timed_out = False
    ending = asyncio.create_task(_exited(process.pid))
    stopping = asyncio.create_task(stop.wait())
    try:
        await started()
        done, _ = await asyncio.wait((stopping, ending), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        stopped, timed_out = stop.is_set() and ending not in done, not done
    finally:
        # The number of a process that has ended may be another's by now.
        root, grace_s = (None, 0.0) if ending.done() else (process.pid, _STOP_GRACE_S)
        await asyncio.shield(tree.end(root, command.marker, grace_s=grace_s))
        # Pipes close with the last process of the tree, and none is left.
        closing = [*readers, asyncio.create_task(process.wait())]
        await asyncio.wait(closing, timeout=2.0)
        for task in (*closing, ending, stopping):
            task.cancel()
    return Ended(-9 if process.returncode is None else process.returncode, stopped, timed_out)


async def _exited(pid: int) -> None:
    """Return when the process itself has ended: `Process.wait` waits for everybody who holds its pipes, too."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _drain(name: str, stream: asyncio.StreamReader, output: Callable[[str, bytes], None]) -> None:
    while chunk := await stream.read(1 << 16):
        output(name, chunk)
