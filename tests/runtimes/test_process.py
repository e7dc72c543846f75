"""A program is started as it should be, its end is told truly, and nothing of it is left."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from .conftest import Programs, gone

_STAYS = "echo $$ > program; trap '' TERM; while :; do sleep 1; done"


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", -9), ("kill -11 $$", -11), ("kill -15 $$", -15)],
)
async def test_the_end_is_told_truly(programs: Programs, script: str, code: int) -> None:
    ended = await programs.run(script)
    assert (ended.code, ended.stopped, ended.timed_out) == (code, False, False)
    assert str(abs(code)) in ended.sentence


async def test_all_output_arrives_and_the_streams_are_told_apart(programs: Programs) -> None:
    found = {"stdout": b"", "stderr": b""}

    def take(name: str, data: bytes) -> None:
        found[name] += data

    await programs.run("head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2; printf end; printf last >&2", output=take)
    assert (len(found["stdout"]), found["stdout"][-3:]) == (3_000_003, b"end")
    assert (len(found["stderr"]), found["stderr"][-4:]) == (2_000_004, b"last")


@pytest.mark.parametrize("limits", [{}, {"nofile": 100}], ids=["without limits", "with limits"])
async def test_a_program_that_cannot_be_executed_says_why(programs: Programs, limits: dict[str, int]) -> None:
    parts: list[bytes] = []
    program = ("nowhere-to-be-found",)
    ended = await programs.run("", arguments=program, limits=limits, output=lambda _, data: parts.append(data))
    assert ended.code == 127
    assert b"".join(parts) == b"cannot start nowhere-to-be-found: No such file or directory\n"


async def test_a_program_is_looked_for_on_its_own_path(programs: Programs) -> None:
    (programs.folder / "mine").write_text("#!/bin/sh\necho found\n")
    (programs.folder / "mine").chmod(0o700)
    path = f"/nowhere:{programs.folder}"
    assert await programs.printed("", arguments=("mine",), environment={"PATH": path}) == "found\n"


async def test_what_cannot_be_begun_is_an_error_and_spoils_no_guard(programs: Programs) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        await programs.run("exit 0", folder=programs.folder / "nowhere")
    assert missing.value.filename == str(programs.folder / "nowhere")
    with pytest.raises(OSError, match="Invalid argument"):
        await programs.run("exit 0", environment={"A": "nothing\0hidden"})
    assert (await programs.run("exit 4")).code == 4


@pytest.mark.parametrize("limits", [{}, {"nofile": 100}], ids=["without limits", "with limits"])
async def test_a_program_finds_nothing_but_what_is_its_own(programs: Programs, limits: dict[str, int]) -> None:
    reading, writing = os.pipe()
    script = """
        tr '\\0' ' ' < /proc/self/environ; echo; pwd; ls /proc/self/fd | tr '\\n' ' '; echo
        grep -E 'SigBlk|SigIgn' /proc/self/status; cut -d' ' -f1,5,6 /proc/$$/stat; echo extra > /proc/self/fd/%d
    """
    text = await programs.printed(
        script % writing, descriptors=(writing,), limits=limits, environment={"PATH": "/usr/bin:/bin"}
    )
    os.close(writing)
    environment, folder, descriptors, blocked, ignored, session = text.splitlines()
    assert os.read(reading, 100) == b"extra\n"
    os.close(reading)
    assert set(environment.split()) - {f"PWD={programs.folder}", "OLDPWD=/", "SHLVL=0", "_=/usr/bin/tr"} == {
        "PATH=/usr/bin:/bin"
    }
    assert folder == str(programs.folder)
    assert {int(one) for one in descriptors.split()} - {0, 1, 2, writing} <= {3}  # the folder that ls reads
    assert int(blocked.split()[1], 16) == 0
    assert int(ignored.split()[1], 16) & ~(3 << 31) == 0  # but for the two that the C library keeps for itself
    assert len(set(session.split())) == 1


async def test_limits_hold_for_their_program_alone(programs: Programs) -> None:
    script = "ulimit -n; ulimit -c; ulimit -v; ulimit -t; nice; echo $PPID"
    limits = {"nofile": 77, "memory_bytes": 1 << 30, "cpu_seconds": 100, "nice": 5}
    limited = (await programs.printed(script, limits=limits)).split()
    free = (await programs.printed(script)).split()
    assert limited[:5] == ["77", "0", str(1 << 20), "100", str(os.nice(0) + 5)]
    assert free[5] == limited[5], "another guard"
    assert (free[1], free[4]) == ("0", str(os.nice(0)))
    assert "77" not in free


async def test_an_environment_larger_than_a_sockets_buffer_arrives(programs: Programs) -> None:
    environment = {f"LARGE_{n}": "x" * 100_000 for n in range(12)} | {"PATH": os.environ["PATH"]}
    assert await programs.printed("env | wc -c", environment=environment) > "1200000"


async def test_nothing_outlives_its_program(programs: Programs) -> None:
    await programs.run(f"{programs.daemon()}; sleep 600 & exit 0")
    assert gone(await programs.pid())


@pytest.mark.parametrize("how", ["stop", "time-out", "cancel"])
async def test_nothing_outlives_the_end_of_a_run(programs: Programs, how: str) -> None:
    script = f"{programs.daemon()}; {_STAYS}"
    running = asyncio.create_task(programs.run(script, timeout_s=1.5 if how == "time-out" else 60.0))
    program, daemon = await programs.pid("program"), await programs.pid()
    began = time.monotonic()
    if how == "stop":
        programs.stop.set()
    if how == "cancel":
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    else:
        ended = await running
        assert (ended.code, ended.stopped, ended.timed_out) == (-9, how == "stop", how == "time-out")
    assert time.monotonic() - began < 4.0
    assert gone(program)
    assert gone(daemon)


async def test_a_program_may_clear_up_when_it_is_stopped(programs: Programs) -> None:
    script = "trap 'echo cleared; exit 5' TERM; echo $$ > program; while :; do sleep 0.01; done"
    parts: list[bytes] = []
    running = asyncio.create_task(programs.run(script, output=lambda _, data: parts.append(data)))
    await programs.pid("program")
    programs.stop.set()
    ended = await running
    assert (ended.code, ended.stopped) == (5, True)
    assert b"".join(parts).endswith(b"cleared\n")


async def test_a_pipe_that_somebody_else_holds_does_not_hold_up_the_end(programs: Programs, tmp_path: Path) -> None:
    keeper = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        link = "echo $$ > program; until [ -e go ]; do sleep 0.01; done; echo done"
        parts: list[bytes] = []
        running = asyncio.create_task(programs.run(link, output=lambda _, data: parts.append(data)))
        program = await programs.pid("program")
        held = os.open(f"/proc/{program}/fd/1", os.O_WRONLY)
        (tmp_path / "go").touch()
        ended = await running
        os.close(held)
        assert (ended.code, b"".join(parts)) == (0, b"done\n")
    finally:
        keeper.kill()
        await keeper.wait()
