"""`assay serve` on a PostgreSQL database that cannot be used: one line that names the remedy, and never the password."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.postgres import PASSWORD, ROLE, Cluster
from tests.server.client import JOBS
from tests.server.serving import serving

_CANARY = "canary"
assert _CANARY in PASSWORD


def refusal(tmp_path: Path, url: str, program: str = "from assay.cli import main; main()") -> str:
    """Start a server on a database that it cannot use; return the line that it prints."""
    command = [sys.executable, "-c", program, "serve", "--port", "0", "--data", str(tmp_path / "data"), "--no-worker"]
    command += ["--log-level", "warning", "--database", url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert _CANARY not in ended.stderr
    assert ended.stderr.startswith("error: ")
    return ended.stderr


def test_a_wrong_password(tmp_path: Path, postgres: Cluster) -> None:
    line = refusal(tmp_path, postgres.url("postgres", password="canary-guessed"))
    assert f"postgresql://assay:[masked]@127.0.0.1:{postgres.port}/postgres cannot be used" in line
    assert "it refuses the user or the password. Check both in --database." in line


def test_a_user_that_is_not_there(tmp_path: Path, postgres: Cluster) -> None:
    assert "it refuses the user or the password" in refusal(tmp_path, postgres.url("postgres", role="nobody"))


def test_a_missing_database(tmp_path: Path, postgres: Cluster) -> None:
    line = refusal(tmp_path, postgres.url("nothing-here"))
    assert 'there is no such database. Make it: CREATE DATABASE "nothing-here" OWNER "assay".' in line


def test_a_host_that_nobody_knows(tmp_path: Path) -> None:
    line = refusal(tmp_path, "postgresql://assay:canary@no-such-host.invalid/assay")
    assert "its host is not known. Check the host of --database." in line
    assert "no-such-host.invalid" in line


def test_a_port_where_nobody_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    line = refusal(tmp_path, f"postgresql://assay:canary@127.0.0.1:{port}/assay")
    assert "nobody answers there. See that PostgreSQL runs, and check the host and port of --database." in line


def test_no_rights(tmp_path: Path, postgres: Cluster) -> None:
    with postgres.database() as url:
        name = url.rpartition("/")[2]
        postgres.sql("CREATE ROLE stranger LOGIN PASSWORD 'canary'")
        line = refusal(tmp_path, postgres.url(name, role="stranger", password="canary"))
        postgres.sql("DROP ROLE stranger")
    assert (
        f'its user has not the rights to keep tables there. Grant them: ALTER DATABASE "{name}" OWNER TO "stranger".' in line
    )


def test_a_database_that_only_takes_readers(tmp_path: Path, postgres: Cluster) -> None:
    with postgres.database() as url:
        postgres.sql(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on")
        assert "it only takes readers. Name the primary" in refusal(tmp_path, url)


def test_an_encoding_that_does_not_hold_every_text(tmp_path: Path, postgres: Cluster) -> None:
    postgres.sql(f"CREATE DATABASE latin OWNER {ROLE} ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
    line = refusal(tmp_path, postgres.url("latin"))
    postgres.sql("DROP DATABASE latin")
    assert "its encoding is LATIN1. Make a database with ENCODING 'UTF8'" in line


@contextmanager
def old_server(version: str) -> Iterator[int]:
    """Answer a client's start-up as a server of `version` does, and nothing else; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def message(kind: bytes, body: bytes) -> bytes:
            return kind + struct.pack("!i", len(body) + 4) + body

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(8)  # it asks for TLS
                client.sendall(b"N")
                client.recv(1024)
                said = {"server_version": version, "server_encoding": "UTF8", "client_encoding": "UTF8"}
                parameters = b"".join(message(b"S", f"{name}\0{value}\0".encode()) for name, value in said.items())
                client.sendall(message(b"R", bytes(4)) + parameters + message(b"K", bytes(8)) + message(b"Z", b"I"))
                client.recv(1024)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_a_server_that_is_too_old(tmp_path: Path) -> None:
    with old_server("9.6.24") as port:
        line = refusal(tmp_path, f"postgresql://assay:canary@127.0.0.1:{port}/assay")
    assert "it is PostgreSQL 9.6. Assay needs version 13 or later." in line


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://assay:canary#1@127.0.0.1/assay",
        "postgresql://assay:12/canary@127.0.0.1/assay",
        "postgresql://assay:canary?@127.0.0.1/assay",
        "postgresql://assay:canary@127.0.0.1:99999/assay",
        "postgresql://assay:canary@[::1/assay",
    ],
)
def test_what_is_no_url_is_refused_without_showing_it(tmp_path: Path, url: str) -> None:
    line = refusal(tmp_path, url)
    assert "database (flag --database): it is no URL of a database" in line
    assert "# as %23" in line


@pytest.mark.parametrize("option", ["sslmode=perhaps", "colour=red"])
def test_an_option_of_the_url_that_is_not_known(tmp_path: Path, postgres: Cluster, option: str) -> None:
    with postgres.database() as url:
        line = refusal(tmp_path, f"{url}?{option}")
    assert "its URL has an option that is not known or not valid" in line


def test_another_database_is_no_url_for_assay(tmp_path: Path) -> None:
    line = refusal(tmp_path, "mysql://assay:canary@127.0.0.1/assay")
    assert "a URL that begins with postgresql:// is needed" in line


def test_the_missing_extra_is_named(tmp_path: Path) -> None:
    program = "import sys; sys.modules['asyncpg'] = None; from assay.cli import main; main()"
    line = refusal(tmp_path, "postgresql://assay:canary@127.0.0.1/assay", program)
    assert (
        "PostgreSQL needs an extra of Assay that is not installed. Run `pip install './assay[pg]'` beside the checkout."
        in line
    )


def test_a_running_server_shows_its_password_nowhere(tmp_path: Path, postgres: Cluster) -> None:
    with (
        postgres.database() as url,
        serving(tmp_path, "--database", url, "--log-level", "debug", worker=True) as running,
    ):
        assert running.api.get(f"{JOBS}/unknown").status == 404
        arguments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        ours = [line for line in arguments if str(tmp_path).encode() in line]
        assert ours
        assert not [line for line in ours if _CANARY.encode() in line]
        postgres.sql(f"ALTER DATABASE {url.rpartition('/')[2]} ALLOW_CONNECTIONS off")
        postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'assay'")
        refused = running.api.get("/api/v1/health")
        assert refused.status == 503
        assert _CANARY not in refused.text
        postgres.sql(f"ALTER DATABASE {url.rpartition('/')[2]} ALLOW_CONNECTIONS on")
        assert running.api.get("/api/v1/health").status == 200
    assert _CANARY not in running.log.read_text()
