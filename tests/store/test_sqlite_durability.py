"""What was acknowledged is there after a crash, and a full disk loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.model.errors import StoreUnavailable
from assay.model.states import RunState
from assay.store.jobs import CreateJob
from assay.store.queries import JobWithRuns, RunById
from assay.store.sqlite import SqliteStore

from .life import Life, new_job

ROOT = Path(__file__).parents[2]


def killed_after(lines: int, path: Path) -> list[list[str]]:
    """Run the writing program until it has acknowledged so much, kill it, and return all it has acknowledged."""
    command = [sys.executable, "-m", "tests.store.acknowledging", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        said += child.stdout.readlines()
    return [line.decode().split() for line in said if line.endswith(b"\n")]


async def test_everything_that_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "assay.db"
    acknowledged: list[list[str]] = []
    for lines in (1, 50, 200):
        acknowledged += killed_after(lines, path)
        store = SqliteStore(path)
        life = Life(store)
        for what, name in acknowledged:
            if what == "job":
                found = await store.lookup(JobWithRuns(name))
                assert found is not None
                assert len(found[1]) == 2
            else:
                run = await store.lookup(RunById(name))
                assert run is not None
                assert run.fence >= 1
                if what == "completed":
                    assert (run.state, bool(run.result)) == (RunState.COMPLETED, True)
        await life.check_counters()
        halves = await life.ask(
            "SELECT id FROM jobs WHERE (SELECT count(*) FROM runs WHERE job_id = jobs.id) <> 2"
            " OR (SELECT count(*) FROM job_tags WHERE job_id = jobs.id) <> 2"
            " OR NOT EXISTS (SELECT 1 FROM events WHERE job_id = jobs.id AND type = 'job.created')"
        )
        assert halves == []
        await store.close()
    assert {what for what, _ in acknowledged} == {"job", "leased", "completed"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def fill(life: Life) -> tuple[list[str], StoreUnavailable]:
    """Submit jobs until the database refuses one; return those that were acknowledged, and the refusal."""
    acknowledged: list[str] = []
    for _ in range(3_000):
        job = new_job(life.new_id, 2, name="first", spec=b'{"name":"' + b"x" * 4_000 + b'"}')
        (answer,) = await life.store.transact([CreateJob(job, life.now)])
        if isinstance(answer, StoreUnavailable):
            assert "Nothing was lost" in answer.message
            return acknowledged, answer
        acknowledged.append(job.id)
    raise AssertionError("the disk was never full")


async def test_a_full_disk_refuses_changes_and_takes_them_again_once_there_is_room(small_disk: Path) -> None:
    path, ballast = small_disk / "assay.db", small_disk / "ballast"
    ballast.write_bytes(bytes(1 << 20))
    store = SqliteStore(path)
    life = Life(store)
    acknowledged, refusal = await fill(life)
    assert acknowledged
    assert f"the disk is full. Nothing was lost; free space on the disk that holds {small_disk}" in refusal.message
    for job_id in acknowledged:
        assert await store.lookup(JobWithRuns(job_id)) is not None
    ballast.unlink()
    after = await life.submit(name="after")
    assert (await life.job(after)).name == "after"
    await store.close()
    store = SqliteStore(path)
    life = Life(store)
    for job_id in [*acknowledged, after.id]:
        assert await store.lookup(JobWithRuns(job_id)) is not None
    assert await life.ask("PRAGMA quick_check") == [{"quick_check": "ok"}]
    await life.check_counters()
    await store.close()


FILE_LIMIT = """
import asyncio, os, resource, sys
from pathlib import Path
from assay.store.queries import JobWithRuns
from assay.store.sqlite import SqliteStore
from tests.store.life import Life
from tests.store.test_sqlite_durability import fill

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    life = Life(store)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    acknowledged, _ = await fill(life)
    for job_id in acknowledged:
        assert await store.lookup(JobWithRuns(job_id)) is not None
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    acknowledged.append((await life.submit(name="after")).id)
    await life.check_counters()
    await store.close()
    print("\\n".join(acknowledged))

asyncio.run(main())
"""


async def test_a_file_that_may_not_grow_refuses_changes_until_it_may(tmp_path: Path) -> None:
    path = tmp_path / "assay.db"
    command = [sys.executable, "-c", FILE_LIMIT, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    acknowledged = done.stdout.split()
    assert len(acknowledged) > 1
    store = SqliteStore(path)
    for job_id in acknowledged:
        assert await store.lookup(JobWithRuns(job_id)) is not None
    await store.close()
