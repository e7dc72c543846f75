"""Operations on the blobs that servers share through the database, and on what refers to them."""

from __future__ import annotations

from dataclasses import dataclass

from assay.store.base import Steps, run


@dataclass(frozen=True)
class PutBlobPart:
    """Keep a part of a blob, numbered from 0."""

    digest: str
    part: int
    data: bytes
    now: int

    def steps(self) -> Steps[None]:
        yield run("put_blob_part", digest=self.digest, part=self.part, data=self.data, now=self.now)


@dataclass(frozen=True)
class RenewBlob:
    """Make a blob as good as new, so that nobody sweeps it away; return how many parts of it there are."""

    digest: str
    now: int

    def steps(self) -> Steps[int]:
        return len((yield run("renew_blob", digest=self.digest, now=self.now)))


@dataclass(frozen=True)
class BlobPart:
    """A part of a blob, None for one that is not there."""

    digest: str
    part: int

    def steps(self) -> Steps[bytes | None]:
        rows = yield run("blob_part", digest=self.digest, part=self.part)
        return bytes(rows[0]["data"]) if rows else None


@dataclass(frozen=True)
class SnapshotDigests:
    """The digest of every snapshot that a run was given."""

    def steps(self) -> Steps[set[str]]:
        return {row["snapshot"] for row in (yield run("snapshot_digests"))}


@dataclass(frozen=True)
class OldBlobs:
    """The digests of blobs in the database that are older than `before`."""

    before: int

    def steps(self) -> Steps[set[str]]:
        return {row["digest"] for row in (yield run("old_blobs", before=self.before))}


@dataclass(frozen=True)
class DropBlob:
    """Delete a blob from the database, unless it is not older than `before`."""

    digest: str
    before: int

    def steps(self) -> Steps[None]:
        yield run("drop_blob", digest=self.digest, before=self.before)
