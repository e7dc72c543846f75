"""Snapshots of several servers: what one took the other hands out, and only what nothing refers to is swept away."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from assay.artifacts.blobs import BlobStore
from assay.artifacts.log_folders import LogFolders
from assay.artifacts.snapshots import Files
from assay.model.errors import NotFound, PreflightFailed
from assay.scheduler.inputs import Inputs
from assay.scheduler.recovery import sweep_once
from assay.store.base import Store
from assay.store.jobs import CreateJob
from assay.store.postgres import PostgresStore
from assay.store.sqlite import SqliteStore
from tests.postgres import Cluster
from tests.store.life import Identifiers, new_job


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("a")
    (tmp_path / "files" / "large.bin").write_bytes(bytes(range(256)) * 10_000)
    return tmp_path / "files"


async def swept(store: Store, inputs: Inputs, data: Path) -> int:
    """Sweep whatever nothing refers to, however new; return the number of blobs."""
    blobs, _ = await sweep_once(store, inputs, LogFolders(data), time.time() + 1)
    return blobs


async def test_servers_on_one_database_have_one_anothers_snapshots(postgres: Cluster, folder: Path, tmp_path: Path) -> None:
    with postgres.database() as url:
        store = await PostgresStore.open(url)
        one, other = (Inputs(store, BlobStore(tmp_path / name)) for name in ("one", "other"))
        digest = await one.take(Files(folder), "provider 'p'")
        assert (await other.path(digest)).read_bytes() == (await one.path(digest)).read_bytes()
        blobs = {path.name for path in (tmp_path / "one").glob("*/*/*")}
        for name in blobs:
            assert (await other.path(f"sha256:{name}")).exists()
        assert await one.take(Files(folder), "provider 'p'") == digest
        assert await swept(store, other, tmp_path) == len(blobs)
        fresh = Inputs(store, BlobStore(tmp_path / "fresh"))
        with pytest.raises(NotFound):
            await fresh.path(digest)
        await store.close()


async def _refer(store: Store, snapshot: str) -> None:
    job = new_job(Identifiers())
    plan = msgspec.structs.replace(job.runs[0].plan, snapshot=snapshot)
    run = msgspec.structs.replace(job.runs[0], plan=plan)
    await store.apply(CreateJob(msgspec.structs.replace(job, runs=[run]), 1))


async def test_what_a_job_refers_to_stays(folder: Path, tmp_path: Path) -> None:
    store = SqliteStore.temporary()
    inputs = Inputs(store, BlobStore(tmp_path / "blobs"))
    digest = await inputs.take(Files(folder), "provider 'p'")
    await _refer(store, digest)
    assert await swept(store, inputs, tmp_path) == 0
    (folder / "a.txt").write_text("b")
    await inputs.take(Files(folder), "provider 'p'")
    assert await swept(store, inputs, tmp_path) == 2
    await store.close()


async def test_a_snapshot_that_cannot_be_read_now_deletes_nothing(folder: Path, tmp_path: Path) -> None:
    store = SqliteStore.temporary()
    inputs = Inputs(store, BlobStore(tmp_path / "blobs"))
    digest = await inputs.take(Files(folder), "provider 'p'")
    await _refer(store, digest)
    path = await inputs.path(digest)
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        await swept(store, inputs, tmp_path)
    assert len(list((tmp_path / "blobs").glob("*/*/*"))) == 3
    await store.close()


async def test_a_file_that_cannot_be_read_is_named(folder: Path, tmp_path: Path) -> None:
    store = SqliteStore.temporary()
    with pytest.raises(PreflightFailed, match=r"provider 'p': .*gone.txt cannot be read"):
        await Inputs(store, BlobStore(tmp_path / "blobs")).take(Files(folder, paths=("gone.txt",)), "provider 'p'")
    await store.close()
