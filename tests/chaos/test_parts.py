"""The parts of a campaign do what they say: plans repeat, networks are cut, clocks jump, disks fill, checks find."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.model.records import Event, Job
from assay.model.states import JobState

from .clocks import Clock
from .disks import Disk, mountable
from .invariants import Seen, fair
from .journal import Promise
from .networks import Network, Relay, namespaces_work
from .plan import plan

_TARGETS = {"server": ["a", "b"], "worker": ["w"], "store link": ["a", "b"]}
_WAIT_S = 0.3


def test_a_seed_makes_the_same_plan_again_and_another_seed_another() -> None:
    first, again, other = (list(itertools.islice(plan(seed, _TARGETS, 1.0), 50)) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    assert {fault.kind.of for fault in first} == set(_TARGETS)


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """The address of a program that says what it is told."""
    program = "import socket\ns = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1], flush=True)\n"
    program += "while True:\n c = s.accept()[0]\n while d := c.recv(99):\n  c.sendall(d)\n"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield "127.0.0.1", int(process.stdout.readline())
    process.kill()
    process.wait()


@pytest.mark.parametrize("way", ["both", "up", "down"])
def test_what_a_cut_relay_holds_back_passes_when_it_is_mended(echo: tuple[str, int], way: str) -> None:
    with Relay(echo) as relay, socket.create_connection(("127.0.0.1", relay.port)) as client:
        client.sendall(b"1")
        assert client.recv(9) == b"1"
        relay.cut(way)
        client.sendall(b"2")
        client.settimeout(_WAIT_S)
        with pytest.raises(TimeoutError):
            client.recv(9)
        relay.mend()
        client.settimeout(20)
        assert client.recv(9) == b"2"


def test_a_reset_relay_ends_the_connections_there_are_and_takes_new_ones(echo: tuple[str, int]) -> None:
    with Relay(echo) as relay:
        with socket.create_connection(("127.0.0.1", relay.port), timeout=20) as client:
            client.sendall(b"1")
            assert client.recv(9) == b"1"
            relay.cut("reset")
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(9) == b""
        with socket.create_connection(("127.0.0.1", relay.port), timeout=20) as client:
            client.sendall(b"2")
            assert client.recv(9) == b"2"


@pytest.mark.skipif(not namespaces_work(), reason="networks need root")
@pytest.mark.parametrize("way", ["both", "up", "down"])
def test_a_namespace_is_cut_off_and_joined_again(way: str) -> None:
    with Network() as network, socket.create_server((network.address, 0)) as server:
        space, port = network.namespace(), server.getsockname()[1]
        call = f"import socket; socket.create_connection(('{network.address}', {port}), timeout=%s)"

        def answers(timeout_s: float) -> bool:
            words = [*space.prefix, sys.executable, "-c", call % timeout_s]
            return subprocess.run(words, capture_output=True, check=False).returncode == 0

        assert answers(20)
        space.cut(way)
        assert not answers(_WAIT_S)
        space.mend()
        assert answers(20)


def test_a_clock_jumps_while_its_process_runs_and_the_monotonic_one_goes_on(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    program = "import time\nwhile input():\n print(time.time(), time.monotonic(), flush=True)"
    environment = {**os.environ, **clock.environment}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        times, monotonic = [], []
        for jump in (0, 10_800, -10_800, 0):
            clock.jump(jump)
            process.stdin.write("go\n")
            process.stdin.flush()
            told = process.stdout.readline().split()
            times.append(float(told[0]) - jump)
            monotonic.append(float(told[1]))
        process.kill()
    assert times[-1] - times[0] < 600
    assert times == sorted(times)
    assert monotonic == sorted(monotonic)
    assert monotonic[-1] - monotonic[0] < 600


@pytest.mark.skipif(not mountable(), reason="file systems need root")
def test_a_disk_is_full_until_there_is_room_again(tmp_path: Path) -> None:
    with Disk(tmp_path / "disk", 1) as disk:
        disk.fill()
        with pytest.raises(OSError, match="No space") as caught:
            (disk.folder / "file").write_bytes(bytes(4096))
        assert caught.value.errno == errno.ENOSPC
        disk.free()
        (disk.folder / "file").write_bytes(bytes(4096))


def _seen(number: int, tenant: str, created: int, leased: int) -> Seen:
    job = Job(
        id=f"j{number}",
        kind="evaluation",
        tenant=tenant,
        owner="",
        name="j",
        experiment_id="",
        state=JobState.COMPLETED,
        cancelled=False,
        created_at=0,
        updated_at=0,
        version=1,
        spec=b"",
        collection="",
        model="m",
        threshold=None,
        test=b"",
    )
    numbers = {created: "job.created", leased: "run.leased", leased + 1: "run.completed"}
    events = [Event(seq=seq, job_id=job.id, run_id="", at=0, type=kind, data={}) for seq, kind in numbers.items()]
    return Seen(job, [], {}, events)


def test_an_unfair_wait_is_found() -> None:
    crowd = [_seen(number, "red", number, 10 * (number + 1)) for number in range(10)]
    assert list(fair([*crowd, _seen(99, "blue", 15, 41)], 3, {})) == []
    assert list(fair([*crowd, _seen(99, "blue", 15, 51)], 3, {})) != []


@pytest.mark.parametrize(("over", "found"), [(10.5, True), (11.5, False), (None, False)])
def test_a_wait_behind_a_deleted_job_of_the_same_tenant_is_not_unfair(over: float | None, found: bool) -> None:
    crowd = [_seen(number, "red", number, 10 * (number + 1)) for number in range(10)]
    late = Promise("j99", "late", "blue", [], asked=11.0, at=12.0)
    deleted = Promise("j100", "early", "blue", [], asked=9.0, at=10.0, over=over, deleting=True)
    told = list(fair([*crowd, _seen(99, "blue", 15, 51)], 3, {one.id: one for one in (late, deleted)}))
    assert bool(told) is found
