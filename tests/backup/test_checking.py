"""Whatever is changed in a backup is found, and named."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay.backup import files, manifest
from tests.server.acting import Worker

from .conftest import Place, run
from .test_round_trip import ended


@pytest.fixture
def backup(places: tuple[Place, Place], target: Path) -> Path:
    """A backup of a job with a log and an artifact, and of one that waits."""
    old, _ = places
    with old.serve() as served:
        ended(Worker(served.api), served.api, b"artifact")
        served.api.submit()
        return Path(old.backup(target)["path"])


def damaged(path: Path) -> str:
    """Return what `assay backup verify` says of a damaged backup."""
    told = run("backup", "verify", path)
    assert told.code == 1
    assert told.err.startswith("error: The backup ")
    return told.err


def database(backup: Path) -> Path:
    (found,) = backup.glob("assay.d[bu]*")
    return found


def rewritten(backup: Path, **changes: Any) -> None:
    """Write a manifest with other members and the right digest, as a mistaken program would."""
    found = manifest.read(backup)
    (backup / manifest.NAME).unlink()
    manifest.write(backup, msgspec.structs.replace(found, **changes))


def with_digests(backup: Path) -> None:
    """Make the manifest's digests those of the files as they are now."""
    found = manifest.read(backup)
    entries = [
        msgspec.structs.replace(entry, **dict(zip(("size", "sha256"), files.hashed(backup / entry.path), strict=True)))
        for entry in found.files
    ]
    rewritten(backup, files=entries)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
def test_a_backup_that_was_not_touched_is_whole(backup: Path) -> None:
    (checked,) = run("backup", "verify", backup, "--json").json["items"]
    assert (checked["jobs"], checked["runs"], checked["missing"]) == (2, 2, 0)
    before = sorted(path.name for path in backup.iterdir())
    assert before == sorted([database(backup).name, "assay.toml", "blobs", "logs", "manifest.json"])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("pattern", ["assay.d*", "assay.toml", "blobs/*/*/*", "logs/*/*"])
@pytest.mark.parametrize("damage", [_flip, Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_file_that_was_changed_cut_or_deleted_is_named(
    backup: Path, pattern: str, damage: Callable[[Path], object]
) -> None:
    path = next(backup.glob(pattern))
    damage(path)
    assert str(path.relative_to(backup)) in damaged(backup)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_manifest_that_was_changed_is_refused(backup: Path) -> None:
    path = backup / manifest.NAME
    document = json.loads(path.read_text())
    document["counts"]["jobs"] += 1
    for text in (json.dumps(document), "", "{}", "[]", path.read_text()[:-5]):
        path.write_text(text)
        assert "its manifest.json was changed" in damaged(backup)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_format_of_a_newer_version_is_refused_with_the_version_that_knows_it(backup: Path) -> None:
    rewritten(backup, format=2, assay="9.1")
    assert "format 2 is newer than this version of Assay knows. Use Assay 9.1 or a later version." in damaged(backup)


def test_a_database_that_was_cut_is_found_even_if_the_digests_agree(backup: Path) -> None:
    path = database(backup)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with_digests(backup)
    assert path.name in damaged(backup)


def test_rows_and_artifacts_are_compared_with_the_manifest(backup: Path) -> None:
    found = manifest.read(backup)
    rewritten(backup, counts=found.counts | {"jobs": 3})
    assert "the database has 2 rows in jobs, not 3" in damaged(backup)
    rewritten(backup, counts=found.counts, files=[entry for entry in found.files if not entry.path.startswith("blobs/")])
    assert "1 artifacts of its jobs are not in it, such as sha256:" in damaged(backup)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_row_that_refers_to_nothing_is_found(backup: Path) -> None:
    with sqlite3.connect(database(backup)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("UPDATE job_specs SET job_id = 'nobody' WHERE job_id = (SELECT min(id) FROM jobs)")
    connection.close()
    with_digests(backup)
    assert "names one of jobs that is not there" in damaged(backup)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_path_that_leads_out_of_the_backup_is_not_followed(backup: Path) -> None:
    found = manifest.read(backup)
    rewritten(backup, files=[*found.files, manifest.Entry("../../etc/passwd", 1, "0" * 64)])
    assert "../../etc/passwd leads out of it" in damaged(backup)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_every_damaged_backup_in_a_folder_is_named(backup: Path, places: tuple[Place, Place], target: Path) -> None:
    second = Path(places[0].backup(target)["path"])
    for path in (backup, second):
        (path / "assay.toml").write_text("x")
    told = run("backup", "verify", target, "--all")
    assert (told.code, backup.name in told.err, second.name in told.err) == (1, True, True)


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        told = run("backup", "verify", path)
        assert (told.code, "The backup" in told.err) == (2, True)
