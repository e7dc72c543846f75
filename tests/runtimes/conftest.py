"""Fixtures: guards that are ended with their test, and a way to run shell programs below them."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from assay.runtimes import tree
from assay.runtimes.guards import Guards
from assay.runtimes.process import Command, Ended, run


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops: the worker has uvloop where that is there."""
    return "asyncio", {"use_uvloop": request.param}


@dataclass
class Programs:
    """Runs shell programs in `folder`, and keeps what they print."""

    guards: Guards
    folder: Path
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def marker(self) -> str:
        """What marks the programs."""
        return f"ASSAY_ATTEMPT={self.folder}"

    async def run(
        self,
        script: str,
        *,
        timeout_s: float = 60.0,
        limits: Mapping[str, int] | None = None,
        descriptors: Sequence[int] = (),
        output: Callable[[str, bytes], None] = lambda name, data: None,
        **more: object,
    ) -> Ended:
        """Run a script of sh to its end."""
        marks = dict([self.marker.split("=", 1), worker_marker(self.folder).split("=", 1)])
        command = Command(
            arguments=("/bin/sh", "-c", script),
            environment={"PATH": os.environ["PATH"], **marks},
            folder=self.folder,
            marker=self.marker,
            limits=limits or {},
            descriptors=descriptors,
        )
        command = Command(**{**command.__dict__, **more})

        async def started() -> None:
            pass

        return await run(command, guards=self.guards, stop=self.stop, timeout_s=timeout_s, output=output, started=started)

    async def printed(self, script: str, **more: object) -> str:
        """Return what a script prints, on both streams."""
        parts: list[bytes] = []
        await self.run(script, output=lambda name, data: parts.append(data), **more)  # type: ignore[arg-type]
        return b"".join(parts).decode()

    def daemon(self, name: str = "daemon") -> str:
        """Return the command that leaves a process in a session of its own, with an empty environment, orphaned."""
        file = shlex.quote(str(self.folder / name))
        inner = f"echo $$ > {file}.new; mv {file}.new {file}; exec sleep 600"
        return f"env -i setsid -f /bin/sh -c {shlex.quote(inner)} > /dev/null 2>&1; until [ -s {file} ]; do sleep 0.01; done"

    async def pid(self, name: str = "daemon") -> int:
        """Wait until a script has written a number to a file; return it."""
        file = self.folder / name
        for _ in range(3000):
            if file.exists() and (text := file.read_text()).endswith("\n"):
                return int(text)
            await asyncio.sleep(0.01)
        raise AssertionError(f"no {name} was written")


@pytest.fixture
async def programs(tmp_path: Path) -> AsyncIterator[Programs]:
    """A folder and guards of this test's own; nothing of them is left."""
    found = Programs(Guards(worker_marker(tmp_path)), tmp_path)
    yield found
    await found.guards.close()
    assert not tree.alive(tree.marked(worker_marker(tmp_path)))


def worker_marker(folder: Path) -> str:
    """Return what marks all that is started in `folder`."""
    return f"ASSAY_WORKER=tests@{folder}"


def parent(pid: int) -> int:
    """Return the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def gone(pid: int) -> bool:
    """Return whether a process has ended."""
    return not tree.alive([pid])


async def until_gone(*pids: int, patience_s: float = 10.0) -> None:
    """Wait until processes have ended."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while left := [pid for pid in pids if not gone(pid)]:
        assert asyncio.get_running_loop().time() < deadline, f"{left} are still there"
        await asyncio.sleep(0.01)
