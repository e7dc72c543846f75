"""The files that runs need, brought from the server by digest, verified, kept in a bounded cache, and laid out in folders.

`<cache>/blobs` has them by digest, `<cache>/trees` has the folders of snapshots that runs share, `<cache>/going` has what is
being deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Container
from pathlib import Path
from typing import BinaryIO
from weakref import WeakValueDictionary

from assay.artifacts.blobs import BlobStore
from assay.client.workers import Refused, ServerGone, WorkerApi
from assay.model import snapshot
from assay.model.errors import NotFound
from assay.model.snapshot import Snapshot, SnapshotFile

log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_LARGE = 8 << 20
"""From this size on, a file in a folder shares its bytes with the cache."""
_FICLONE = 0x40049409
"""ioctl_ficlone(2)."""
_MADE = 315_532_800
"""The time of every file that is laid out, 1980-01-01: libraries take a file with another time for another file."""
_FETCHES = 4
"""Blobs that are fetched at once for one run."""
_FEW, _SMALL = 8, 1 << 18
"""So many files, of so many bytes in all, are put into a folder in less time than a thread takes to be woken."""
_LISTS = 64
"""Lists of few files that are kept as they were read."""


class FileChanged(Exception):
    """A file is not at the server as it was at submit; the message says which."""


class FileCache:
    """The files of a worker's runs, up to `limit` bytes beyond what is at work."""

    def __init__(self, root: Path, limit: int) -> None:
        self._blobs, self._trees, self._limit = BlobStore(root / "blobs"), root / "trees", limit
        self._going = root / "going"
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._in_use: Counter[str] = Counter()
        self._lists: dict[str, Snapshot] = {}
        self._grown = True
        """Whether the cache may be larger than its limit."""

    async def lay_out(self, api: WorkerApi, digest: str, own: Path | None) -> Path:
        """Return a folder with the files of a snapshot: `own`, or one that runs share, which stays until it is released.

        Every file has been compared with its digest. Raises FileChanged, Refused, OSError.
        """
        self._in_use[digest] += 1
        try:
            tree = await self._snapshot(api, digest)
            folder = own or self._trees / digest.removeprefix("sha256:")
            async with self._lock(f"tree {folder}"):
                self._grown |= own is None and not folder.exists()
                await self._lay_out(api, tree, folder, fresh=own is not None)
            if self._grown:
                await self._shrink()
        except BaseException:
            self.release(digest)
            raise
        return folder

    def release(self, digest: str) -> None:
        """Say that a run does not need the folder any more."""
        self._in_use[digest] -= 1

    async def _snapshot(self, api: WorkerApi, digest: str) -> Snapshot:
        if digest in self._lists:
            return self._lists[digest]
        path = await self._fetched(api, digest)
        try:
            tree = snapshot.decode(await asyncio.to_thread(path.read_bytes))
        except ValueError as error:
            raise FileChanged(f"The list of the run's files cannot be used: {error}.") from error
        if _is_small(tree):
            if len(self._lists) >= _LISTS:
                self._lists.clear()
            self._lists[digest] = tree
        return tree

    async def _lay_out(self, api: WorkerApi, tree: Snapshot, folder: Path, fresh: bool) -> None:
        """Put the files of a snapshot into a folder; `fresh`: nobody has seen it yet, and there is nothing in it."""
        _begin(folder)
        small = _is_small(tree)
        left = [file for file in tree.files if not (small and self._put_from_cache(file, folder, fresh))]
        if not left:
            return
        at_once = asyncio.Semaphore(_FETCHES)

        async def one(file: SnapshotFile) -> None:
            async with at_once:
                await self._put(api, file, folder)

        tasks = [asyncio.create_task(one(file)) for file in left]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _put_from_cache(self, file: SnapshotFile, folder: Path, fresh: bool) -> bool:
        """Put a small file into a folder if it is in the cache, and nothing is odd about either."""
        try:
            source, target = self._blobs.path(file.digest), folder / file.path
            if not fresh:
                if not _within(folder, target.parent):
                    return False
                if os.path.lexists(target):
                    return _digest_of(target) == file.digest
            content = source.read_bytes()
            if f"sha256:{hashlib.sha256(content).hexdigest()}" != file.digest:
                return False
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            place = target if fresh else _beside(target)
            with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as writing:
                writing.write(content)
            _finish(place, target, file)
            os.utime(source)
        except (NotFound, OSError):
            return False
        return True

    async def _put(self, api: WorkerApi, file: SnapshotFile, folder: Path) -> None:
        target = folder / file.path
        if not await asyncio.to_thread(_within, folder, target.parent):
            raise FileChanged(f"The folder of {file.path} has been put elsewhere on this machine.")
        if await asyncio.to_thread(_digest_of, target) == file.digest:
            return
        for _ in range(2):
            source = await self._fetched(api, file.digest, file.path)
            if await _to_its_end(_place, source, target, file):
                return
            # What is in the cache was changed by somebody: fetch it anew.
            source.unlink(missing_ok=True)
        raise FileChanged(f"The file {file.path} does not keep its content on this machine.")

    async def _fetched(self, api: WorkerApi, digest: str, name: str = "") -> Path:
        """Return where a blob is in the cache, once it is there."""
        try:
            path = self._blobs.path(digest)
        except NotFound as error:
            raise FileChanged(f"'{digest}' is no digest of a file.") from error
        async with self._lock(digest):
            if not path.exists():
                await self._fetch(api, digest, path, name)
            with contextlib.suppress(FileNotFoundError):
                os.utime(path)
        return path

    async def _fetch(self, api: WorkerApi, digest: str, path: Path, name: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial, pause = path.with_name(f"{path.name}.part"), 0.1
        while True:
            try:
                with _appending(partial) as file:
                    await api.download(f"/blobs/{digest}", file)
                break
            except ServerGone:  # what has arrived stays; the run's end, or that of its lease, ends the waiting
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
            except Refused as refusal:
                if refusal.status == 404:
                    raise FileChanged(_gone(name or digest)) from refusal
                raise
        found = await asyncio.to_thread(_digest_of, partial)
        if found != digest:
            partial.unlink()
            raise FileChanged(_gone(name or digest))
        os.replace(partial, path)
        self._grown = True

    def _lock(self, name: str) -> asyncio.Lock:
        lock = self._locks.get(name) or asyncio.Lock()
        self._locks[name] = lock
        return lock

    async def _shrink(self) -> None:
        """Delete what was used longest ago, until the cache is within its limit.

        What is to go is chosen, and put where nobody looks for it, between two turns of the event loop: so no run begins to
        use it meanwhile.
        """
        self._grown = False
        still = True
        try:
            found = await asyncio.to_thread(self._measured, {digest for digest, users in self._in_use.items() if users})
            total = sum(size for _, size, _ in found)
            for used, size, path in sorted(found):
                if total <= self._limit:
                    break
                total -= size * self._set_aside(path, used)
                await asyncio.sleep(0)
            await asyncio.to_thread(_empty, self._going)
            still = total > self._limit
        finally:
            self._grown |= still

    def _measured(self, busy: Container[str]) -> list[tuple[float, int, Path]]:
        """Return when what is in the cache was used, its size and its place; but not the folders of `busy` snapshots."""
        self._going.mkdir(parents=True, exist_ok=True, mode=0o700)
        found: list[tuple[float, int, Path]] = []
        for path in self._blobs.root.glob("*/*/*"):
            with contextlib.suppress(FileNotFoundError):
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
        for folder in self._trees.glob("*"):
            if f"sha256:{folder.name}" not in busy:
                with contextlib.suppress(FileNotFoundError):
                    found.append((folder.stat().st_mtime, _size_of(folder), folder))
        return found

    def _set_aside(self, path: Path, used: float) -> bool:
        """Take a file or folder out of the cache unless it has been used since `used`; say whether it counts no more.

        What a run is at work with does not count.
        """
        if path.suffix == ".part" or (path.parent == self._trees and self._in_use[f"sha256:{path.name}"]):
            return True
        try:
            if path.stat().st_mtime != used:
                return False
            os.rename(path, self._going / secrets.token_hex(8))
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                log.warning("%s cannot be taken out of the cache: %s", path, error.strerror)
        return True


async def _to_its_end(function: Callable[..., bool], *arguments: object) -> bool:
    """Call a function in a thread. Who is cancelled waits for its end, so that it makes nothing again that was removed."""
    calling = asyncio.create_task(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(calling)
    finally:
        await asyncio.wait([calling])
        calling.exception()  # who was cancelled does not hear of it, and nobody else need


def _size_of(folder: Path) -> int:
    """Return the size of the files in a folder from which some may vanish meanwhile."""
    size = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            size += file.stat().st_size if file.is_file() else 0
    return size


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _gone(name: str) -> str:
    return f"{name} is not what it was at submit (its digest differs, or it is gone). Submit again."


def _begin(folder: Path) -> None:
    """Make a folder, and note that it is used now."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.utime(folder)


def _is_small(tree: Snapshot) -> bool:
    return len(tree.files) <= _FEW and sum(file.size for file in tree.files) <= _SMALL


def _within(folder: Path, below: Path) -> bool:
    """Say whether nobody has put a link in place of a folder between the two."""
    place = folder
    for part in below.relative_to(folder).parts:
        place = place / part
        if place.is_symlink():
            return False
    return True


def _appending(path: Path) -> BinaryIO:
    return open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")


def _digest_of(path: Path) -> str:
    """Return the digest of a regular file, empty for none."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError:
        return ""


def _place(source: Path, target: Path, file: SnapshotFile) -> bool:
    """Put a file into a folder; say whether it has the content that it should have."""
    fresh = _beside(target)
    try:
        _copy(source, fresh, file.size)
        if _digest_of(fresh) != file.digest:
            return False
        _finish(fresh, target, file)
        return True
    except FileNotFoundError:
        return False
    finally:
        fresh.unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    """Return where a file is made before it takes the place of another; its folder is there."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = target.with_name(f".{target.name[:100]}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    return fresh


def _finish(fresh: Path, target: Path, file: SnapshotFile) -> None:
    os.chmod(fresh, 0o500 if file.executable else 0o400)
    os.utime(fresh, (_MADE, _MADE))
    if fresh != target:
        os.replace(fresh, target)


def _copy(source: Path, target: Path, size: int) -> None:
    """Copy a file, a large one without its bytes where the file system can."""
    with source.open("rb") as reading, open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as writing:
        if size >= _LARGE:
            with contextlib.suppress(OSError):
                fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
                return
        shutil.copyfileobj(reading, writing, _CHUNK)
