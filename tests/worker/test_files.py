"""The cache of the files that runs need: what goes when it is full, and what stays because it is in use."""

from __future__ import annotations

import asyncio
import errno
import gc
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from assay.client.workers import WorkerApi
from assay.model.snapshot import SnapshotFile, encode
from assay.worker import files
from assay.worker.files import FileCache

SIZE = 100_000
LIMIT = 250_000
"""There is room for two files of SIZE, and not for three."""
PATIENCE_S = 20.0


class Server:
    """Has blobs, and notes which were fetched."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self.fetched: list[str] = []

    def put(self, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._blobs[digest] = data
        return digest

    def tree(self, letter: str) -> str:
        """Make a snapshot of one file that is full of a letter; return its digest."""
        file = SnapshotFile("file", self.put(letter.encode() * SIZE), SIZE)
        return self.put(encode([file]))

    async def download(self, path: str, to: BinaryIO) -> None:
        digest = path.rpartition("/")[2]
        self.fetched.append(digest)
        to.write(self._blobs[digest])


class Measuring:
    """Holds up whoever measures a folder, once told to."""

    def __init__(self) -> None:
        self.begun, self.may_go_on = threading.Event(), threading.Event()
        self.may_go_on.set()

    def rglob(self, folder: Path, pattern: str) -> Iterator[Path]:
        self.begun.set()
        assert self.may_go_on.wait(PATIENCE_S)
        yield from folder.glob(f"**/{pattern}")

    def hold(self) -> None:
        self.begun.clear()
        self.may_go_on.clear()


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Measuring:
    held = Measuring()
    monkeypatch.setattr(Path, "rglob", lambda folder, pattern: held.rglob(folder, pattern))
    return held


class Cache:
    """A cache, and a server that it has its files from."""

    def __init__(self, folder: Path) -> None:
        self.server, self._files = Server(), FileCache(folder, LIMIT)

    async def use(self, tree: str, own: Path | None = None) -> Path:
        return await self._files.lay_out(cast(WorkerApi, self.server), tree, own)

    async def used(self, tree: str, at: int) -> Path:
        """Use a folder at a time long ago."""
        folder = await self.use(tree)
        self.release(tree)
        os.utime(folder, (at, at))
        return folder

    def release(self, tree: str) -> None:
        self._files.release(tree)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


async def test_a_full_cache_loses_what_was_used_longest_ago(cache: Cache, tmp_path: Path) -> None:
    a, b = cache.server.tree("a"), cache.server.tree("b")
    folder = await cache.used(a, at=1)
    (tmp_path / "going").mkdir(exist_ok=True)
    (tmp_path / "going" / "of a worker that was killed").write_text("x")
    assert (await cache.use(b)).exists()
    assert not folder.exists()
    assert not list((tmp_path / "going").iterdir())
    fetched = len(cache.server.fetched)
    await cache.use(a)
    assert len(cache.server.fetched) == fetched


async def used_while_measured(cache: Cache, measuring: Measuring) -> tuple[str, Path, asyncio.Task[Path]]:
    """A snapshot that was used long ago, its folder, used again while the full cache is measured, and who measures it."""
    a, b = cache.server.tree("a"), cache.server.tree("b")
    await cache.used(a, at=1)
    measuring.hold()
    other = asyncio.create_task(cache.use(b))
    assert await asyncio.to_thread(measuring.begun.wait, PATIENCE_S)
    return a, await cache.use(a), other


async def test_a_folder_that_a_run_begins_to_use_while_the_cache_is_measured_stays(
    cache: Cache, measuring: Measuring
) -> None:
    _, folder, other = await used_while_measured(cache, measuring)
    os.utime(folder, (1, 1))  # nothing but its use keeps it
    measuring.may_go_on.set()
    await other
    assert [file.name for file in folder.iterdir()] == ["file"]


async def test_a_folder_that_was_used_while_the_cache_is_measured_is_not_what_was_used_longest_ago(
    cache: Cache, measuring: Measuring
) -> None:
    tree, folder, other = await used_while_measured(cache, measuring)
    cache.release(tree)
    measuring.may_go_on.set()
    await other
    assert [file.name for file in folder.iterdir()] == ["file"]


async def test_a_cancelled_run_leaves_the_cache_to_the_next_one_to_shrink(
    cache: Cache, measuring: Measuring, tmp_path: Path
) -> None:
    a, b = cache.server.tree("a"), cache.server.tree("b")
    folder = await cache.used(a, at=1)
    measuring.hold()
    other = asyncio.create_task(cache.use(b))
    assert await asyncio.to_thread(measuring.begun.wait, PATIENCE_S)
    other.cancel()
    measuring.may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await other
    assert folder.exists()
    await cache.use(b)
    assert not folder.exists()


@pytest.mark.parametrize("full", [False, True], ids=["with room", "on a full disk"])
async def test_a_run_that_is_cancelled_has_ended_only_when_nothing_is_put_into_its_folder_any_more(
    full: bool, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun, may_go_on, put = threading.Event(), threading.Event(), files._place

    def slowly(source: Path, target: Path, file: SnapshotFile) -> bool:
        begun.set()
        assert may_go_on.wait(PATIENCE_S)
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return put(source, target, file)

    monkeypatch.setattr(files, "_place", slowly)
    run = asyncio.create_task(cache.use(cache.server.tree("a"), tmp_path / "own"))
    assert await asyncio.to_thread(begun.wait, PATIENCE_S)
    run.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not run.done()
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert [file.name for file in (tmp_path / "own").iterdir()] == ([] if full else ["file"])
    del run
    gc.collect()
    assert caplog.text == ""  # asyncio would tell of an error that nobody has looked at
