"""The processes of `assay serve`: what its server, its worker, and what starts the programs of runs hold."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from dataclasses import astuple, dataclass
from pathlib import Path

from benchmarks.servers import Server, tree

STEADY = ("server", "worker")
"""Roles of one process each, from the beginning to the end."""
ROLES = (*STEADY, "spawner", "guards")


@dataclass(frozen=True)
class Held:
    """What processes hold: resident memory and what of it is theirs alone, in MiB, and open descriptors."""

    resident: float = 0.0
    private: float = 0.0
    descriptors: int = 0
    processes: int = 0

    def __add__(self, other: Held) -> Held:
        return Held(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


def held(pid: int) -> Held:
    """Return what a process holds. Raises OSError if it has ended."""
    kib: Counter[str] = Counter()
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, amount, _ = line.split()
        kib[name] = int(amount)
    private = kib["Private_Dirty:"] + kib["Private_Clean:"]
    return Held(kib["Rss:"] / 1024, private / 1024, len(os.listdir(f"/proc/{pid}/fd")), 1)


class Processes:
    """The processes of a server that has a worker beside it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.pids: dict[str, set[int]] = {role: set() for role in ROLES}
        """Of each role, all that were ever seen."""

    def held(self) -> dict[str, Held]:
        """Return what each role holds now: of guards all together, of a role that nobody has nothing."""
        found = dict.fromkeys(ROLES, Held())
        for pid in tree(self._server.pid):
            with contextlib.suppress(OSError):  # it has just ended
                if role := self._role(pid):
                    found[role] += held(pid)
                    self.pids[role].add(pid)
        return found

    def _role(self, pid: int) -> str:
        """Return what a process is; empty for the program of a run. Parents come before their children."""
        if pid == self._server.pid:
            return "server"
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if command[1:4] == [b"-m", b"assay", b"worker"]:
            return "worker"
        if not any(part.endswith(b"/launch/__main__.py") for part in command):
            return ""
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return "spawner" if parent in self.pids["worker"] else "guards"
