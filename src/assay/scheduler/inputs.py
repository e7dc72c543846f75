"""What runs need of the server's machine: snapshots are taken at submit and handed out to workers as blobs.

Servers that share a database and no disk share the blobs of snapshots through the database.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from assay.artifacts.blobs import BlobStore
from assay.artifacts.snapshots import Files, Snapshots, SnapshotTooLarge
from assay.model import snapshot
from assay.model.errors import NotFound, PreflightFailed
from assay.scheduler.identifiers import now
from assay.store.base import Store
from assay.store.queries import ReferencedBlobs
from assay.store.snapshots import BlobPart, DropBlob, OldBlobs, PutBlobPart, RenewBlob, SnapshotDigests

_PART = 1 << 20


class Inputs:
    """Takes snapshots and finds their blobs again, at whichever server they were taken."""

    def __init__(self, store: Store, blobs: BlobStore) -> None:
        self._store, self.blobs, self._snapshots = store, blobs, Snapshots(blobs)

    async def take(self, files: Files, field: str) -> str:
        """Return the digest of a snapshot that is kept. Raises PreflightFailed, which names `field`."""
        try:
            digest, blobs = await asyncio.to_thread(self._snapshots.take, files)
        except SnapshotTooLarge as error:
            remedy = "All of it would be brought to the worker: give the provider a folder with only what its command needs"
            raise PreflightFailed(field=field, problem=f"{error}. {remedy}.") from error
        except OSError as error:
            problem = f"{error.filename} cannot be read: {error.strerror}"
            raise PreflightFailed(field=field, problem=problem) from error
        if not self._store.writes_alone:
            for blob in blobs:
                await self._share(blob)
        return digest

    async def path(self, digest: str) -> Path:
        """Return where a blob is on this machine. Raises NotFound."""
        path = self.blobs.path(digest)
        if path.exists():
            return path
        with self.blobs.writer() as blob:
            part = 0
            while (data := await self._store.lookup(BlobPart(digest, part))) is not None:
                blob.write(data)
                part += 1
            if not part or blob.digest != digest:
                raise NotFound(kind="blob", id=digest)
            await asyncio.to_thread(blob.commit)
        return path

    async def needed(self, before: float) -> set[str]:
        """Return the digests of all blobs that something refers to; shared ones that nothing does, and that were made before
        a time (seconds since 1970), are dropped from the database.

        Raises OSError where a snapshot cannot be read now: what it names must not be taken for something that nobody needs.
        """
        referenced = await self._store.scan(ReferencedBlobs())
        for digest in await self._store.scan(SnapshotDigests()):
            referenced.add(digest)
            try:
                files = snapshot.decode((await self.path(digest)).read_bytes()).files
            except (NotFound, ValueError):
                continue  # it is gone, and so is what it named
            referenced.update(file.digest for file in files)
        moment = round(before * 1_000_000)
        for digest in await self._store.scan(OldBlobs(moment)) - referenced:
            await self._store.apply(DropBlob(digest, moment))
        return referenced

    async def _share(self, digest: str) -> None:
        size = self.blobs.path(digest).stat().st_size
        parts = max(1, -(-size // _PART))
        if await self._store.apply(RenewBlob(digest, now())) == parts:
            return
        with self.blobs.path(digest).open("rb") as file:
            for part in range(parts):
                data = await asyncio.to_thread(file.read, _PART)
                await self._store.apply(PutBlobPart(digest, part, data, now()))
