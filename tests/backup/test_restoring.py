"""A backup goes into a new place whole or not at all, also one of an older version; one of a newer version is refused."""

from __future__ import annotations

import fcntl
import sqlite3
from pathlib import Path

import msgspec
import pytest

from assay.backup import manifest
from assay.backup.data_folder import restored
from assay.store import migrations
from tests.postgres import Cluster
from tests.server.acting import Worker

from .conftest import Place, run
from .test_round_trip import documents, ended

_JOB = "01a1ff56-7cb4-71fc-b303-86946b8dc69f"
_RUN = "01a1ff56-7cb4-71fc-b303-86946b8dc6a0"
_OLD = 4
"""The schema of the first version with backups."""


@pytest.fixture
def backup(place: Place, target: Path) -> Path:
    """A backup of a server on SQLite with one job that has ended and one that waits."""
    with place.serve() as served:
        ended(Worker(served.api), served.api, b"artifact")
        served.api.submit()
        return Path(place.backup(target)["path"])


def entries(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_place_that_is_in_use_is_refused_and_stays_as_it_is(place: Place, backup: Path) -> None:
    before = entries(place.data)
    refused = place.run("restore", backup)
    assert refused.code == 2
    assert "is in use: it has assay.db, blobs, logs. Name another folder with --data" in refused.err
    assert entries(place.data) == before


def test_a_place_that_a_server_uses_is_refused_even_with_replace(place: Place, backup: Path) -> None:
    with place.serve() as served:
        refused = place.run("restore", backup, "--replace")
        assert (refused.code, "another Assay server is using it. Stop" in refused.err) == (2, True)
        assert len(documents(served.api)) == 2


def test_a_data_folder_that_a_server_uses_is_refused_whatever_database_is_named(
    place: Place, backup: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    with place.serve():
        before = {path for path in place.data.rglob("*") if path.is_file()}
        refused = place.run("restore", backup, "--replace", "--database", f"file:{other}")
        assert (refused.code, f"{place.data}: another Assay server is using it. Stop" in refused.err) == (2, True)
        assert before <= {path for path in place.data.rglob("*") if path.is_file()}
        assert not other.exists()
    assert place.run("restore", backup, "--replace", "--database", f"file:{other}").code == 0


def test_a_data_folder_that_servers_on_postgresql_share_is_refused_while_one_of_them_uses_it(
    postgres: Cluster, tmp_path: Path, target: Path
) -> None:
    with postgres.database() as url, postgres.database() as empty:
        place = Place(tmp_path / "shared", url)
        with place.serve() as one:
            ended(Worker(one.api), one.api, b"artifact")
            place.backup(target)
            with place.serve() as another:
                assert len(documents(another.api)) == 1
            refused = Place(place.folder, empty).run("restore", target, "--replace")
            assert (refused.code, "another Assay server is using it. Stop" in refused.err) == (2, True)
            assert not list(place.data.glob("replaced-*"))
        assert Place(place.folder, empty).run("restore", target, "--replace").code == 0


def test_a_server_does_not_start_in_a_data_folder_that_is_being_restored(tmp_path: Path) -> None:
    new = Place(tmp_path / "new")
    new.data.mkdir(parents=True)
    with restored(new.data):
        refused = new.run("serve", "--port", "0", "--no-worker")
    assert (refused.code, "a backup is being restored into it. Start the server once" in refused.err) == (2, True)
    assert not (new.data / "assay.db").exists()


def test_what_is_replaced_is_moved_aside_whole(place: Place, backup: Path) -> None:
    with place.serve() as served:
        later = served.api.submit(name="later")
    done = place.run("restore", backup, "--replace", "--json").json
    aside = Path(done["replaced"])
    assert aside.parent == place.data
    assert {path.name for path in aside.iterdir()} >= {"assay.db", "blobs", "logs"}
    with sqlite3.connect(aside / "assay.db") as connection:
        assert connection.execute("SELECT count(*) FROM jobs WHERE id = ?", (later,)).fetchone() == (1,)
    connection.close()
    with place.serve() as served:
        assert len(documents(served.api)) == 2


def test_secrets_and_engines_in_the_data_folder_are_in_nobodys_way(backup: Path, tmp_path: Path) -> None:
    new = Place(tmp_path / "new")
    (new.data / "secrets").mkdir(parents=True)
    (new.data / "secrets" / "key").write_text("k")
    assert new.run("restore", backup).code == 0
    assert (new.data / "secrets" / "key").read_text() == "k"


def test_a_damaged_backup_changes_nothing(backup: Path, tmp_path: Path) -> None:
    blob = next(backup.glob("blobs/*/*/*"))
    blob.write_bytes(b"changed")
    new = Place(tmp_path / "new")
    refused = new.run("restore", backup)
    assert (refused.code, "was changed after it was written" in refused.err) == (2, True)
    assert not new.data.exists()


def test_what_a_killed_restore_has_left_is_replaced_by_the_next(backup: Path, tmp_path: Path) -> None:
    new = Place(tmp_path / "new")
    left = new.data / ".restoring" / "blobs"
    left.mkdir(parents=True)
    (left / "half").write_text("x")
    (new.data / "assay.db.restoring").write_text("half a database")
    assert new.run("restore", backup).code == 0
    assert not list(new.data.glob("*restoring*"))
    assert not (new.data / "blobs" / "half").exists()
    with new.serve() as served:
        assert len(documents(served.api)) == 2


def test_the_folder_of_a_restored_server_is_its_owners_alone(backup: Path, tmp_path: Path) -> None:
    new = Place(tmp_path / "new")
    assert new.run("restore", backup).code == 0
    assert {oct(path.stat().st_mode & 0o077) for path in [new.data, *new.data.rglob("*")]} == {"0o0"}


def test_a_database_file_outside_of_the_data_folder_can_be_named(backup: Path, tmp_path: Path) -> None:
    database = tmp_path / "elsewhere" / "jobs.db"
    done = run("restore", backup, "--data", tmp_path / "new", "--database", f"file:{database}", "--json").json
    assert done["database"] == str(database)
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (2,)
    connection.close()


def test_a_backup_of_a_newer_version_is_refused_with_the_version_that_knows_it(backup: Path, tmp_path: Path) -> None:
    with sqlite3.connect(backup / "assay.db") as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("INSERT INTO schema_migrations VALUES (9999, '9999_future.sql', 'x', 0)")
    connection.close()
    from .test_checking import with_digests

    with_digests(backup)
    found = manifest.read(backup)
    counts = found.counts | {"schema_migrations": found.counts["schema_migrations"] + 1}
    newer = msgspec.structs.replace(
        found, assay="9.1.0", schema=9999, migrations=found.migrations | {"9999": "x"}, counts=counts
    )
    (backup / manifest.NAME).unlink()
    manifest.write(backup, newer)
    new = Place(tmp_path / "new")
    refused = new.run("restore", backup)
    assert refused.code == 2
    assert (
        "schema 9999 of Assay 9.1.0: a newer version of Assay wrote it. Restore it with Assay 9.1.0 or a later"
        in refused.err
    )
    assert not new.data.exists()


def _old_database(path: Path) -> None:
    """Make a database as a server with schema `_OLD` left it: a job that waits."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(
        "CREATE TABLE schema_migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, "
        "applied_at INTEGER NOT NULL) STRICT"
    )
    for number, name, sql, checksum in migrations.available("sqlite")[:_OLD]:
        connection.executescript(sql)
        connection.execute("INSERT INTO schema_migrations VALUES (?, ?, ?, 0)", (number, name, checksum))
    spec = (
        b'{"name":"old","model":{"url":"http://m.example/v1","name":"m"},"benchmarks":[{"id":"b0","provider_id":"manual"}]}'
    )
    plan = b'{"kind":"evaluation","provider_id":"manual","benchmark_id":"b0","engine":"adapter","model":{"name":"m"}}'
    for statement, values in (
        (
            "INSERT INTO jobs (id, kind, tenant, owner, name, state, created_at, updated_at, n_pending, model) "
            "VALUES (?, 'evaluation', '', '', 'old', 'pending', 1, 1, 1, 'm')",
            (_JOB,),
        ),
        ("INSERT INTO job_specs VALUES (?, ?)", (_JOB, spec)),
        (
            "INSERT INTO runs (id, job_id, idx, provider_id, benchmark_id, engine, state, status, priority, queued_at, "
            "available_at, max_attempts) VALUES (?, ?, 0, 'manual', 'b0', 'adapter', 'queued', 'pending', 0, 1, 1, 3)",
            (_RUN, _JOB),
        ),
        ("INSERT INTO plans VALUES (?, 'd', ?, ?)", (_RUN, plan, b"{}")),
        ("INSERT INTO events (job_id, run_id, at, type, data) VALUES (?, '', 1, 'job.created', ?)", (_JOB, b"{}")),
    ):
        connection.execute(statement, values)
    connection.close()


def test_a_backup_of_an_older_version_is_brought_up_to_date(place: Place, target: Path, tmp_path: Path) -> None:
    place.data.mkdir(parents=True)
    _old_database(place.data / "assay.db")
    made = place.backup(target)
    assert made["schema"] == _OLD
    new = Place(tmp_path / "new")
    done = new.run("restore", target, "--json").json
    assert done["migrations"] == [one.name for one in migrations.available("sqlite")[_OLD:]]
    with new.serve() as served:
        (document,) = documents(served.api).values()
        assert (document["resource"]["id"], document["name"], document["status"]["state"]) == (_JOB, "old", "pending")
        (lease,) = Worker(served.api).lease(wait_s=20).json["leases"]
        assert lease["run_id"] == _RUN


def test_a_backup_goes_only_into_its_own_kind_of_database(backup: Path, tmp_path: Path) -> None:
    new = Place(tmp_path / "new", "postgresql://assay@127.0.0.1:9/x")
    refused = new.run("restore", backup)
    assert (refused.code, "the backup is of a SQLite file" in refused.err) == (2, True)


def test_a_database_of_postgresql_that_is_used_or_full_is_refused(postgres: Cluster, tmp_path: Path, target: Path) -> None:
    with postgres.database() as old, postgres.database() as other:
        place, new = Place(tmp_path / "old", old), Place(tmp_path / "new", other)
        with place.serve() as served:
            served.api.submit()
            place.backup(target)
            refused = Place(tmp_path / "another", old).run("restore", target)
            assert (refused.code, "is used by a server. Stop the servers" in refused.err) == (2, True)
        refused = Place(tmp_path / "another", old).run("restore", target)
        assert (refused.code, "is not empty" in refused.err) == (2, True)
        refused = Place(tmp_path / "another").run("restore", target)
        assert (refused.code, "the backup is of a PostgreSQL database" in refused.err) == (2, True)
        assert new.run("restore", target).code == 0


def test_two_restores_into_one_place_keep_out_of_each_others_way(backup: Path, tmp_path: Path) -> None:
    new = Place(tmp_path / "new")
    new.data.mkdir(parents=True)
    with (new.data / "assay.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another Assay server is using it" in new.run("restore", backup).err
