"""Where the server listens, and what it takes there: https, the metrics' own port, bounds of time and size."""

from __future__ import annotations

import http.client
import json
import re
import socket
import sqlite3
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.evalhub.live import until
from tests.server import catalogue
from tests.server.acting import KEY, Worker, framed
from tests.server.certificates import certificate
from tests.server.client import JOBS, PATIENCE_S, Api, job_body
from tests.server.serving import serving


def over_tls(url: str, cert: Path) -> http.client.HTTPSConnection:
    """Return a connection that checks the server's certificate for the name in it."""
    context = ssl.create_default_context(cafile=str(cert))
    context.check_hostname = False
    return http.client.HTTPSConnection("127.0.0.1", urlsplit(url).port, timeout=PATIENCE_S, context=context)


def call(connection: http.client.HTTPConnection, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    connection.request(method, path, json.dumps(body) if body is not None else None)
    answer = connection.getresponse()
    return answer.status, answer.read()


def refusal(*flags: str) -> str:
    """Return the line with which `assay serve` refuses to start."""
    ended = subprocess.run(
        [sys.executable, "-m", "assay", "serve", "--port", "0", "--no-worker", *flags],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    return ended.stderr.splitlines()[-1]


def test_with_a_certificate_the_api_is_https_and_the_worker_beside_it_works(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    written = catalogue.write(tmp_path / "catalogue", catalogue.provider("shell", "exit 7"))
    flags = ("--tls-cert-file", str(cert), "--tls-key-file", str(key), "--catalog", str(written))
    with serving(tmp_path, *flags, worker=True, ASSAY_GRACE_SECONDS="0") as served:
        assert served.api.url.startswith("https://")
        connection = over_tls(served.api.url, cert)
        status, answer = call(connection, "POST", JOBS, job_body("b0", provider="shell"))
        assert status == 202
        job = f"{JOBS}/{json.loads(answer)['resource']['id']}"
        ended = until(
            lambda: json.loads(call(connection, "GET", job)[1])["status"]["state"] == "failed", "the end of the job"
        )
        assert ended


def test_tls_is_version_1_2_or_later(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with serving(tmp_path, "--tls-cert-file", str(cert), "--tls-key-file", str(key)) as served:
        versions = set()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.create_default_context(cafile=str(cert))
            context.check_hostname = False
            context.minimum_version = context.maximum_version = version
            plain = socket.create_connection(("127.0.0.1", urlsplit(served.api.url).port or 0), PATIENCE_S)
            with context.wrap_socket(plain) as secured:
                versions.add(secured.version())
        assert versions == {"TLSv1.2", "TLSv1.3"}


def test_certificate_and_key_that_do_not_fit_end_the_start(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    _, other = certificate(tmp_path, "other.example")
    data = ("--data", str(tmp_path / "data"))
    assert "tls_key_file is needed with it" in refusal(*data, "--tls-cert-file", str(cert))
    assert "it does not fit tls_cert_file" in refusal(*data, "--tls-cert-file", str(cert), "--tls-key-file", str(other))
    missing = refusal(*data, "--tls-cert-file", str(tmp_path / "no.pem"), "--tls-key-file", str(key))
    assert missing.endswith("no.pem cannot be read: No such file or directory")


def test_the_metrics_have_a_port_of_their_own_where_asked_for_and_nothing_else_is_there(tmp_path: Path) -> None:
    with serving(tmp_path, "--metrics-port", "0", ASSAY_LOG_LEVEL="info") as served:
        found = until(lambda: re.search(r"metrics are on (http://\S+)/metrics", served.log.read_text()), "the address")
        metrics = Api(found[1])
        assert served.api.get("/api/v1/health").status == 200
        until(lambda: 'route="/api/v1/health"' in metrics.get("/metrics").text, "the count")
        assert metrics.get("/api/v1/health").status == 404
        assert served.api.get("/metrics").status == 200


def test_a_taken_port_of_the_metrics_names_its_own_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal("--data", str(tmp_path / "data"), "--metrics-port", str(port))
    assert "choose another with --metrics-port" in said


def test_a_head_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, ASSAY_MAX_HEADER_BYTES="8192") as served:
        assert served.api.get("/api/v1/health", x_padding="x" * 4000).status == 200
        assert served.api.get("/api/v1/health", x_padding="x" * 20000).status == 431


def test_a_body_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    with serving(tmp_path, ASSAY_READ_TIMEOUT_SECONDS="0.2") as served:
        parts = urlsplit(served.api.url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), PATIENCE_S) as slow:
            head = f"POST {JOBS} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 1000\r\n\r\n{{"
            slow.sendall(head.encode())
            answer = slow.recv(65536)
            assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_sends_nothing_is_closed(tmp_path: Path) -> None:
    with serving(tmp_path, ASSAY_IDLE_TIMEOUT_SECONDS="0.2") as served:
        parts = urlsplit(served.api.url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), PATIENCE_S) as idle:
            idle.sendall(b"GET / HT")
            while idle.recv(65536):
                pass


def test_a_body_may_have_any_size_where_there_is_no_limit(tmp_path: Path) -> None:
    large = {"name": "x" * (11 << 20)}
    with serving(tmp_path, ASSAY_MAX_BODY_BYTES="-1") as served:
        assert served.api.post(JOBS, large).code == "request_validation_failed"
    with serving(tmp_path) as served:
        assert served.api.post(JOBS, large).code == "request_body_too_large"


def test_a_log_answer_is_cut_at_its_limit_and_says_so(tmp_path: Path) -> None:
    written = catalogue.write(tmp_path / "catalogue", catalogue.provider("manual", "true"))
    flags = ("--catalog", str(written))
    with serving(tmp_path, *flags, ASSAY_MAX_LOG_RESPONSE_BYTES="10", ASSAY_WORKER_KEY=KEY) as served:
        held = Worker(served.api).take(served.api)
        assert held.append(0, framed("one line", "another")).status == 200
        text = served.api.get(f"{JOBS}/{held.job_id}/benchmarks/0/logs").text
        assert text == "one line\na\n[cut after 10 bytes; ask for the last lines with tail_lines]\n"


def test_a_followed_log_ends_after_its_time(tmp_path: Path) -> None:
    written = catalogue.write(tmp_path / "catalogue", catalogue.provider("manual", "true"))
    with serving(tmp_path, "--catalog", str(written), ASSAY_LOG_STREAM_TIMEOUT_SECONDS="0.2") as served:
        job = served.api.submit("b0")
        assert list(served.api.lines(f"{JOBS}/{job}/benchmarks/0/logs?follow=true")) == []


def test_what_makes_a_start_fail_is_left_in_the_termination_file(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"service": {"termination_file": str(tmp_path / "termination"), "host": "0.0.0.0"}})
    )
    said = refusal("--data", str(tmp_path / "data"), "--config", str(tmp_path))
    assert said == "error: " + (tmp_path / "termination").read_text().strip()
    assert said.startswith(f"error: host (file {tmp_path}/config.yaml: service.host): others can reach this address")


@pytest.mark.parametrize("name", ["evaluations", "jobs"])
def test_a_database_that_another_program_has_made_is_left_alone(tmp_path: Path, name: str) -> None:
    file = tmp_path / "eval.db"
    with sqlite3.connect(file) as connection:
        connection.execute(f"CREATE TABLE {name} (id TEXT)")
    connection.close()
    before = file.read_bytes()
    said = refusal("--database", f"file:{file}")
    assert said.endswith("another program has made it. It is left as it is; name another file as the database.")
    assert file.read_bytes() == before


def test_a_database_file_outside_the_data_folder_is_private_and_kept(tmp_path: Path) -> None:
    written = catalogue.write(tmp_path / "catalogue", catalogue.provider("manual", "true"))
    flags = ("--catalog", str(written), "--database", f"file:{tmp_path / 'own' / 'eval.db'}")
    with serving(tmp_path, *flags) as served:
        job = served.api.submit("b0")
    assert (tmp_path / "own" / "eval.db").stat().st_mode & 0o077 == 0
    with serving(tmp_path, *flags) as served:
        assert served.api.job(job)["name"] == "j"


def test_a_database_in_memory_goes_with_the_server_and_leaves_the_data_folder_alone(tmp_path: Path) -> None:
    written = catalogue.write(tmp_path / "catalogue", catalogue.provider("manual", "true"))
    flags = ("--catalog", str(written), "--database", "memory")
    with serving(tmp_path, *flags) as served:
        job = served.api.submit("b0")
        assert "they are lost when the server stops" in served.log.read_text()
    assert not (tmp_path / "data").exists()
    with serving(tmp_path, *flags) as served:
        assert served.api.get(f"{JOBS}/{job}").status == 404
