"""A backup is whole or it is none, whatever happens while it is made; and it is nobody's to read but its owner's."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assay.artifacts import holding
from assay.backup.files import blob_path
from assay.store.postgres import programs
from tests.postgres import Cluster
from tests.server.acting import Worker
from tests.server.client import JOBS
from tests.server.serving import Served

from .conftest import Place, run
from .test_round_trip import ended


@contextmanager
def at_the_files(place: Place, target: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Begin a backup; yield it when the database has been copied and the files come next, where it is stopped."""
    with holding.deleting(place.data):
        process = subprocess.Popen(place.command("backup", "create", target), stderr=subprocess.DEVNULL)
        wait_until(lambda: list(target.glob(".unfinished-*")))
        yield process
        process.send_signal(signal.SIGKILL)
        process.wait()


def wait_until(condition: Callable[[], object]) -> None:
    for _ in range(6_000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come to that")


def test_a_backup_that_is_killed_is_never_taken_for_one_and_the_next_removes_it(place: Place, target: Path) -> None:
    with place.serve() as served:
        served.api.submit()
        with at_the_files(place, target) as process:
            process.kill()
            process.wait()
        (left,) = target.glob(".unfinished-*")
        assert run("backup", "list", target, "--json").json == {"items": []}
        for path in (target, left):
            refused = run("backup", "verify", path)
            assert (refused.code, "is not whole" in refused.err) == (2, True)
            assert run("restore", path, "--data", target.parent / "new").code == 2
        made = place.backup(target)
        assert not left.exists()
        assert [one["path"] for one in run("backup", "list", target, "--json").json["items"]] == [made["path"]]


def test_a_second_backup_into_the_same_folder_at_once_is_refused(place: Place, target: Path) -> None:
    with place.serve(), at_the_files(place, target):
        refused = place.run("backup", "create", target)
    assert refused.code == 2
    assert "another backup into" in refused.err


def test_files_of_a_job_that_is_deleted_while_they_are_copied_stay_until_the_backup_has_ended(place: Place) -> None:
    with place.serve() as served:
        api = served.api
        held = ended(Worker(api), api, b"kept")
        log = place.data / "logs" / held.job_id / "0.1.log"
        with holding.held(place.data):
            assert api.delete(f"{JOBS}/{held.job_id}?hard_delete=true").status == 204
            assert log.exists()
        other = ended(Worker(api), api, b"gone")
        assert api.delete(f"{JOBS}/{other.job_id}?hard_delete=true").status == 204
        assert not (place.data / "logs" / other.job_id).exists()


def test_a_backup_can_be_read_by_its_owner_alone_and_has_no_secret(place: Place, target: Path) -> None:
    secrets = place.folder / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "model-key").write_text("canary-of-the-secrets")
    environment = {"ASSAY_SECRETS_DIR": str(secrets), "ASSAY_MLFLOW_TOKEN": "canary-of-mlflow", "ASSAY_MAX_BENCHMARKS": "7"}
    with place.serve(**environment) as served:
        ended(Worker(served.api), served.api, b"x")
        made = run("backup", target, "--data", place.data, "--json", **environment).json
    found = [Path(made["path"]), *Path(made["path"]).rglob("*"), target]
    assert {oct(path.stat().st_mode & 0o777) for path in found if path.is_dir()} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in found if path.is_file()} == {"0o600"}
    contents = b"".join(path.read_bytes() for path in found if path.is_file())
    assert b"canary" not in contents
    assert "max_benchmarks = 7\n" in (Path(made["path"]) / "assay.toml").read_text()


def test_the_settings_in_a_backup_are_a_settings_file_that_says_the_same(place: Place, target: Path) -> None:
    environment = {
        "ASSAY_ALLOWED_ORIGINS": "http://a.example,http://b.example",
        "ASSAY_LOCAL_CODE": "admins",
        "ASSAY_ADMINS": 'ann,"bob"',
        "ASSAY_LEASE_SECONDS": "30",
        "ASSAY_ENGINES_DIR": "/opt/en gines",
    }
    with place.serve(**environment):
        made = run("backup", target, "--data", place.data, "--json", **environment).json
    shown = run("config", "show", "--config", Path(made["path"]) / "assay.toml", "--json").json
    expected = run("config", "show", "--json", **environment).json
    assert {name: one["value"] for name, one in shown.items()} == {name: one["value"] for name, one in expected.items()}


def test_old_backups_are_deleted_once_the_new_one_is_there(place: Place, target: Path) -> None:
    with place.serve() as served:
        ended(Worker(served.api), served.api, b"x")
        paths = [place.backup(target, "--keep", "2")["path"] for _ in range(4)]
    assert sorted(path.name for path in target.iterdir() if not path.name.startswith(".")) == [
        Path(path).name for path in paths[2:]
    ]
    assert len(run("backup", "verify", target, "--all", "--json").json["items"]) == 2


def test_a_server_that_was_killed_can_be_backed_up(place: Place, target: Path) -> None:
    with contextlib.suppress(AssertionError), place.serve() as served:  # it does not end as it should
        job_id = served.api.submit()
        served.process.kill()
    assert (place.data / "assay.db-wal").stat().st_size > 0
    assert place.backup(target)["jobs"] == 1
    with place.serve() as served:
        assert served.api.job(job_id)["resource"]["id"] == job_id


def _inside(place: Place) -> Path:
    return place.data / "backups"


def _file(place: Place) -> Path:
    path = place.folder / "file"
    path.write_text("")
    return path


def _other_things(place: Place) -> Path:
    (place.folder / "home").mkdir()
    (place.folder / "home" / "letter.txt").write_text("")
    return place.folder / "home"


def _no_folder(_: Place) -> Path:
    return Path("/proc/backups")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (_inside, "lies in the data folder"),
        (_file, "is a file. Name a folder"),
        (_other_things, "holds other things than backups"),
        (_no_folder, "/proc/backups"),
    ],
)
def test_a_folder_that_can_not_take_backups_is_refused_in_one_line(
    place: Place, make: Callable[[Place], Path], problem: str
) -> None:
    with place.serve():
        target = make(place)
        refused = place.run("backup", "create", target)
    assert refused.code == 2
    assert problem in refused.err
    assert refused.err.count("\n") == 1
    assert not list(place.folder.rglob("manifest.json"))


def test_a_folder_that_nobody_may_write_to_is_refused_with_the_remedy(place: Place, target: Path) -> None:
    with place.serve() as served:
        served.api.submit()
        target.mkdir(mode=0o555)
        unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
        done = subprocess.run([*unprivileged, *place.command("backup", "create", target)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Permission denied. Run it as the user of the server" in done.stderr


def test_where_there_is_no_database_the_command_says_how_to_name_one(tmp_path: Path, target: Path) -> None:
    refused = run("backup", "create", target, "--data", tmp_path / "nothing")
    assert (refused.code, "there is no database at" in refused.err, "--data" in refused.err) == (2, True, True)
    assert not target.exists()
    refused = run("backup", "create", target, "--database", "memory")
    assert "a database in memory is gone with its server" in refused.err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("a file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def filled(served: Served, size: int) -> None:
    for n in range(size >> 20):
        ended(Worker(served.api), served.api, b"%d" % n + os.urandom(1 << 20))


def test_a_disk_with_too_little_space_is_refused_before_anything_is_copied(place: Place, small_disk: Path) -> None:
    with place.serve() as served:
        filled(served, 10 << 20)
        refused = place.run("backup", "create", small_disk / "backups")
    assert refused.code == 2
    assert "bytes are needed in" in refused.err
    assert [path.name for path in (small_disk / "backups").iterdir()] == [".assay-backups"]


def test_a_disk_that_fills_up_meanwhile_ends_the_backup_and_nothing_of_it_is_left(place: Place, small_disk: Path) -> None:
    with place.serve() as served:
        filled(served, 4 << 20)
        target = small_disk / "backups"
        with holding.deleting(place.data):
            process = subprocess.Popen(place.command("backup", "create", target), stderr=subprocess.PIPE, text=True)
            wait_until(lambda: list(target.glob(".unfinished-*")))
            # It has seen that there is room, and now waits for the files.
            (small_disk / "others").write_bytes(b"x" * (shutil.disk_usage(small_disk).free - (64 << 10)))
        _, told = process.communicate()
        assert process.returncode == 2
        assert "Free space there" in told
        assert not list(target.glob(".unfinished-*"))
        (small_disk / "others").unlink()
        assert place.backup(target)["jobs"] == 4


def artifact(folder: Path, content: bytes) -> Path:
    """Return the blob of a content, in a data folder or a backup of one; others are what runs were given."""
    return folder / blob_path(f"sha256:{hashlib.sha256(content).hexdigest()}")


def test_an_artifact_that_is_damaged_or_gone_is_named(place: Place, target: Path) -> None:
    with place.serve() as served:
        ended(Worker(served.api), served.api, b"good")
        blob = artifact(place.data, b"good")
        blob.write_bytes(b"evil")
        refused = place.run("backup", "create", target)
        assert (refused.code, f"the artifact {blob} is damaged" in refused.err) == (2, True)
        blob.unlink()
        refused = place.run("backup", "create", target)
        assert (refused.code, f"such as sha256:{blob.name}" in refused.err) == (2, True)
        assert place.backup(target, "--allow-missing")["missing"] == 1
    assert run("backup", "verify", target, "--json").json["items"][0]["missing"] == 1


def test_a_shared_file_that_was_damaged_in_the_earlier_backup_is_copied_anew(place: Place, target: Path) -> None:
    with place.serve() as served:
        ended(Worker(served.api), served.api, b"good")
        first = Path(place.backup(target)["path"])
        blob = artifact(first, b"good")
        blob.write_bytes(b"evil")
        second = Path(place.backup(target)["path"])
    assert (second / blob.relative_to(first)).read_bytes() == b"good"
    assert run("backup", "verify", second).code == 0
    assert run("backup", "verify", first).code == 1


def test_without_pg_dump_the_error_names_the_package(postgres: Cluster, tmp_path: Path, target: Path) -> None:
    with postgres.database() as url:
        place = Place(tmp_path / "server", url)
        with place.serve() as served:
            served.api.submit()
        words = (
            "import sys; from pathlib import Path; from assay.store.postgres import programs; "
            "programs._DEBIAN = Path('/nowhere'); from assay.cli import main; main()"
        )
        command = [sys.executable, "-c", words, "backup", "create", str(target)]
        environment = {**os.environ, **place.environment, "PATH": "/nowhere", "ASSAY_DATA": str(place.data)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert programs.program("pg_dump")
    assert done.returncode == 2
    assert "pg_dump is not on this machine" in done.stderr
    assert "apt-get install postgresql-client" in done.stderr
    assert [path.name for path in target.iterdir()] == [".assay-backups"]
