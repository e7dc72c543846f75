"""Guards and their spawner: used again, many at once, and nothing is left whichever of them, or the worker, is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from assay.runtimes import guards as guards_module
from assay.runtimes import tree
from assay.runtimes.guards import Guard, Guards, NoGuard

from .conftest import Programs, gone, parent, until_gone, worker_marker

_WAITS = "echo $$ > program; until [ -e go ]; do sleep 0.01; done; exit 6"


async def _begun(programs: Programs) -> tuple[asyncio.Task[object], int, int]:
    """Start a program that leaves a daemon and waits for a file; return the run, the program and its guard."""
    running: asyncio.Task[object] = asyncio.create_task(programs.run(f"{programs.daemon()}; {_WAITS}"))
    program = await programs.pid("program")
    return running, program, parent(program)


async def test_a_guard_is_used_again_and_has_nothing_of_the_last(programs: Programs) -> None:
    first = await programs.printed("echo $PPID")
    assert await programs.printed(f"{programs.daemon()}; echo $PPID") == first
    assert await programs.printed("echo $PPID") == first
    assert gone(await programs.pid())


async def test_many_at_once_have_a_guard_and_an_end_each(programs: Programs) -> None:
    async def one(number: int) -> tuple[int, str]:
        parts: list[bytes] = []
        all_there = "until [ $(ls there-* | wc -l) -ge 20 ]; do sleep 0.05; done"
        script = f"echo {number} $PPID; touch there-{number}; {all_there}; exit {number}"
        ended = await programs.run(script, output=lambda _, data: parts.append(data))
        return ended.code, b"".join(parts).decode()

    outcomes = await asyncio.gather(*(one(number) for number in range(20)))
    assert [code for code, _ in outcomes] == list(range(20))
    assert [int(text.split()[0]) for _, text in outcomes] == list(range(20))
    assert len({text.split()[1] for _, text in outcomes}) == 20
    assert len({parent(int(text.split()[1])) for _, text in outcomes}) == 1


def _pipes(pid: int) -> set[str]:
    links = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    return {link for link in links if link.startswith(("pipe:", "socket:"))}


async def test_no_process_holds_the_pipes_of_anothers_run(programs: Programs) -> None:
    async def one(number: int) -> object:
        return await programs.run(f"echo $$ > program-{number}; until [ -e go ]; do sleep 0.01; done")

    runs = [asyncio.create_task(one(number)) for number in range(4)]
    pids = [await programs.pid(f"program-{number}") for number in range(4)]
    guards = [parent(pid) for pid in pids]
    for guard in guards:  # it has its socket to the worker, and the pipe by which it hears of its children
        while len(_pipes(guard)) > 2:  # it lets go of its program's as soon as that has started
            await asyncio.sleep(0.01)
    held = {pid: _pipes(pid) for pid in (*pids, *guards, parent(guards[0]))}
    assert [len(held[pid]) for pid in pids] == [2] * 4
    assert sum(map(len, held.values())) == len(set.union(*held.values()))
    (programs.folder / "go").touch()
    await asyncio.gather(*runs)


async def test_a_guard_that_is_killed_takes_everything_with_it(programs: Programs) -> None:
    running, program, guard = await _begun(programs)
    daemon = await programs.pid()
    os.kill(guard, signal.SIGKILL)
    ended = await running
    assert getattr(ended, "code", None) == -9
    assert gone(program)
    assert gone(daemon)
    assert (await programs.run("exit 3")).code == 3


async def test_an_idle_guard_that_is_killed_is_not_missed(programs: Programs) -> None:
    guard = int(await programs.printed("echo $PPID"))
    os.kill(guard, signal.SIGKILL)
    await until_gone(guard)
    assert (await programs.run("exit 3")).code == 3


@pytest.mark.parametrize("killed", [1, 2])
async def test_a_new_guard_that_is_killed_before_it_has_begun_is_replaced(
    killed: int, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = _killed_before_they_begin(killed, monkeypatch)
    assert (await programs.run("exit 3")).code == 3
    assert len(set(begun)) == killed + 1


async def test_that_all_of_them_are_killed_passes(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        _killed_before_they_begin(1000, patched)
        with pytest.raises(NoGuard, match="was killed"):
            await programs.run("exit 3")
    assert (await programs.run("exit 3")).code == 3


def _killed_before_they_begin(count: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have the next `count` guards killed when they are to begin; return a list to which each that is to begin is added."""
    begun: list[int] = []
    begin = Guard.begin

    async def killed(guard: Guard, request: bytes, descriptors: Sequence[int]) -> bool:
        begun.append(guard.pid)
        if len(begun) <= count:
            os.kill(guard.pid, signal.SIGKILL)
            await until_gone(guard.pid)
        return await begin(guard, request, descriptors)

    monkeypatch.setattr(Guard, "begin", killed)
    return begun


async def test_runs_go_on_when_the_spawner_is_killed(programs: Programs) -> None:
    running, program, guard = await _begun(programs)
    spawner = parent(guard)
    os.kill(spawner, signal.SIGKILL)
    await until_gone(spawner)
    other = int(await programs.printed("echo $PPID"))
    assert parent(other) not in (spawner, guard)
    assert not gone(program)
    (programs.folder / "go").touch()
    ended = await running
    assert getattr(ended, "code", None) == 6
    assert gone(await programs.pid())
    await until_gone(guard)  # nobody would clear up behind it, so it is not used again


async def test_the_marker_finds_what_is_left_when_guard_and_spawner_are_killed(programs: Programs) -> None:
    running, program, guard = await _begun(programs)
    daemon = await programs.pid()
    for pid in (parent(guard), guard):
        os.kill(pid, signal.SIGKILL)
    ended = await running
    assert getattr(ended, "code", None) == -9
    assert gone(program)
    os.kill(daemon, signal.SIGKILL)  # of this one nothing tells any more
    assert (await programs.run("exit 3")).code == 3


async def test_a_guard_that_does_not_answer_is_killed(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards_module, "_PATIENCE_S", 0.5)
    running, program, guard = await _begun(programs)
    os.kill(guard, signal.SIGSTOP)
    programs.stop.set()
    await running
    await until_gone(guard, program, await programs.pid())


async def test_guards_heed_no_signal_that_a_service_manager_sends_to_all(programs: Programs) -> None:
    running, _, guard = await _begun(programs)
    for pid in (guard, parent(guard)):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
    (programs.folder / "go").touch()
    ended = await running
    assert getattr(ended, "code", None) == 6


_WORKER = """
import asyncio, sys
from pathlib import Path
from assay import eventloop
from assay.runtimes.guards import Guard, Guards, NoGuard
from tests.runtimes.conftest import Programs

async def main():
    programs = Programs(Guards(sys.argv[1]), Path(sys.argv[2]))
    await asyncio.gather(programs.run(sys.argv[3]), programs.run(sys.argv[4]))

eventloop.run(main())
"""


@pytest.mark.parametrize("others", [(), ("guard",), ("spawner",)], ids=["alone", "with a guard", "with the spawner"])
async def test_nothing_outlives_a_worker_that_is_killed(tmp_path: Path, others: tuple[str, ...]) -> None:
    programs, marker = Programs(Guards("UNUSED=1"), tmp_path), worker_marker(tmp_path)
    scripts = [
        f"{programs.daemon(f'daemon-{n}')}; echo $$ > program-{n}; trap '' TERM; while :; do sleep 1; done" for n in (0, 1)
    ]
    worker = subprocess.Popen([sys.executable, "-c", _WORKER, marker, str(tmp_path), *scripts])
    pids = [await programs.pid(f"{kind}-{n}") for kind in ("program", "daemon") for n in (0, 1)]
    guard = parent(await programs.pid("program-0"))
    spawner = parent(guard)
    killed = {"guard": guard, "spawner": spawner}
    for pid in (worker.pid, *(killed[name] for name in others)):
        os.kill(pid, signal.SIGKILL)
    worker.wait()
    await until_gone(*pids, guard, spawner)


async def test_a_later_worker_lets_guards_end_what_they_alone_know(tmp_path: Path) -> None:
    programs, marker = Programs(Guards("UNUSED=1"), tmp_path), worker_marker(tmp_path)
    scripts = [f"{programs.daemon(f'daemon-{n}')}; echo $$ > program-{n}; sleep 600" for n in (0, 1)]
    worker = subprocess.Popen([sys.executable, "-c", _WORKER, marker, str(tmp_path), *scripts])
    pids = [await programs.pid(f"{kind}-{n}") for kind in ("program", "daemon") for n in (0, 1)]
    worker.kill()
    worker.wait()
    await asyncio.to_thread(tree.end_worker, marker)
    assert not tree.alive(pids)
    assert not tree.alive(tree.marked(marker))


async def test_a_later_worker_ends_guards_that_do_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "_GUARDS_S", 0.3)
    programs, marker = Programs(Guards("UNUSED=1"), tmp_path), worker_marker(tmp_path)
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, marker, str(tmp_path), "echo $$ > program; sleep 600", "exit 0"]
    )
    guard = parent(await programs.pid("program"))
    for pid in (guard, parent(guard)):
        os.kill(pid, signal.SIGSTOP)
    worker.kill()
    worker.wait()
    await asyncio.to_thread(tree.end_worker, marker)
    assert not tree.alive(tree.marked(marker))
    await until_gone(await programs.pid("program"))


async def test_closing_ends_what_still_runs(tmp_path: Path) -> None:
    programs = Programs(Guards(worker_marker(tmp_path)), tmp_path)
    running, program, guard = await _begun(programs)
    began = time.monotonic()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await programs.guards.close()
    assert time.monotonic() - began < 5.0
    assert all(map(gone, (program, guard, await programs.pid())))
    assert not tree.alive(tree.marked(programs.marker))
