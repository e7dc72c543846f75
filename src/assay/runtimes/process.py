"""The process runtime: an attempt as a process tree of its own on the worker's machine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assay.runtimes.guards import Guards
from assay.runtimes.pipes import Pipe

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
    guards: Guards,
    stop: asyncio.Event,
    timeout_s: float,
    output: Callable[[str, bytes], None],
    started: Callable[[], Awaitable[None]],
) -> Ended:
    """Run a command to its end, below one of `guards`; give each chunk of its output to `output` (stream name, bytes).

    Ends the whole tree when `stop` is set, when the time is over, when this task is cancelled, and when the first process
    has ended and left others behind. Raises OSError when the program cannot be started.
    """
    program = {
        "program": list(command.arguments),
        "environment": dict(command.environment),
        "folder": str(command.folder),
        "limits": dict(command.limits),
        "numbers": [1, 2, *command.descriptors],
        "grace_s": _STOP_GRACE_S,
    }
    pipes = [Pipe(lambda data: output("stdout", data)), Pipe(lambda data: output("stderr", data))]
    try:
        guard = await guards.start(program, [*(pipe.write_end for pipe in pipes), *command.descriptors])
    except BaseException:
        for pipe in pipes:
            pipe.abandon()
        raise
    for pipe in pipes:
        pipe.begin()
    stopped = timed_out = False
    stopping = asyncio.create_task(stop.wait())
    try:
        await started()
        done, _ = await asyncio.wait((stopping, guard.answer), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        stopped, timed_out = stop.is_set() and guard.answer not in done, not done
    finally:
        stopping.cancel()
        try:
            code = await asyncio.shield(guards.end(guard, command.marker, _STOP_GRACE_S))
        finally:
            # They close with the last process of the tree, and none is left.
            for pipe in pipes:
                await pipe.drained()
    return Ended(-9 if code is None else code, stopped, timed_out)
