from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from assay.cli import exits
from assay.client.errors import ServerError
from tests.server.certificates import certificate

from .conftest import Cli
from .fake_server import FakeServer


def test_without_a_server_the_remedy_is_named_and_the_code_is_3(cli: Cli, closed_url: str) -> None:
    shown = cli("jobs", "list", "--server", closed_url)
    assert (shown.code, shown.out) == (3, "")
    assert shown.err.startswith(f"error: Cannot reach {closed_url}: connection refused.")
    assert "`assay serve`" in shown.err
    assert len(shown.err.splitlines()) == 1


def test_a_certificate_that_is_not_trusted_is_told_with_its_remedy(cli: Cli, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))
    listening = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        url = f"https://127.0.0.1:{listening.server_port}"
        shown = cli("jobs", "list", "--server", url)
    finally:
        listening.shutdown()
        listening.server_close()
    assert shown.code == 3
    assert shown.err.startswith(f"error: Cannot reach {url}: its certificate is not one that this machine trusts.")
    assert "SSL_CERT_FILE=" in shown.err


def test_a_server_with_troubles_is_code_3_and_tells_the_request(cli: Cli, server: FakeServer) -> None:
    server.broken = 1
    shown = cli("jobs", "list")
    assert shown.code == 3
    assert shown.err == "error: The database did not take the change. (request trace-1)\n"


def test_a_server_url_that_is_none_is_refused(cli: Cli) -> None:
    shown = cli("jobs", "list", "--server", "nonsense")
    assert (shown.code, "'nonsense' is not the URL of a server" in shown.err) == (2, True)


def test_an_unknown_option_points_to_the_help_of_its_command(cli: Cli) -> None:
    shown = cli("jobs", "list", "--colour")
    assert shown.code == 2
    assert shown.err.splitlines()[1] == "  see: assay jobs list --help"


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("jobs show", "JOB"),
        ("jobs watch", "[JOB]"),
        ("jobs logs", "JOB"),
        ("jobs artifacts", "JOB"),
        ("jobs cancel", "JOB..."),
        ("jobs delete", "JOB..."),
        ("queue --job", "--job"),
        ("providers show", "PROVIDER"),
        ("workers show", "WORKER"),
        ("workers forget", "WORKER..."),
        ("keys revoke", "IDS..."),
        ("webhooks deliveries", "WEBHOOK"),
        ("webhooks delete", "WEBHOOKS..."),
    ],
)
def test_an_empty_id_is_refused_by_name_without_asking_the_server(
    cli: Cli, server: FakeServer, command: str, named: str
) -> None:
    shown = cli(*command.split(), "")
    assert (shown.code, server.queries) == (2, [])
    assert shown.err.startswith(f"error: Invalid value for '{named}': it is empty")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Key: 'Webhook.url' Error:Field validation for 'url' failed on the 'url' tag",
            "url must be a URL with scheme and host, such as https://host.example/path",
        ),
        (
            "Key: 'EvaluationJobConfig.tags[0]' Error:Field validation for 'tags[0]' failed on the 'tagname' tag\n"
            "Key: 'EvaluationJobConfig.model.name' Error:Field validation for 'name' failed on the 'required' tag",
            "tags[0] must have 1 to 128 characters, and no comma or vertical bar, which filters use\nmodel.name is missing",
        ),
        (
            "Key: 'Webhook.x' Error:Field validation for 'x' failed on the 'new' tag",
            "x breaks the rule new",
        ),
        ("secret_ref must be the name of a secret", "secret_ref must be the name of a secret"),
    ],
)
def test_a_field_that_is_refused_is_told_in_words(said: str, told: str) -> None:
    assert exits.told(ServerError(400, "request_validation_failed", f"It failed: '{said}'.")) == f"It failed: '{told}'."


def test_testing_a_webhook_that_is_paused_names_the_command_that_resumes_it(cli: Cli, server: FakeServer) -> None:
    server.paused = ["w1"]
    shown = cli("webhooks", "test", "w1")
    assert shown.code == 2
    assert shown.err == "error: The webhook w1 is paused. Resume it with `assay webhooks resume w1`, then test it.\n"


def test_the_key_comes_from_the_environment(cli: Cli, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_API_KEY", "the-key")
    cli("jobs", "list", "--tenant", "team")
    assert server.headers[-1]["authorization"] == "Bearer the-key"
    assert server.headers[-1]["x-tenant"] == "team"


def test_a_worker_without_a_key_says_where_it_belongs(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_WORKER_KEY", raising=False)
    shown = cli("worker")
    assert (shown.code, "ASSAY_WORKER_KEY is not set" in shown.err) == (2, True)


def test_a_reader_that_goes_away_is_no_error(server: FakeServer) -> None:
    server.add("j1")
    server.log = b"a line of a long log\n" * 200_000
    environment = {**os.environ, "ASSAY_SERVER": server.url}
    command = [sys.executable, "-m", "assay", "jobs", "logs", "j1"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 141


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("command", "code"), [("version", 0), ("jobs logs j1", 0), ("jobs delete j1", 2)])
def test_a_stream_that_is_closed_changes_nothing_else(server: FakeServer, closed: str, command: str, code: int) -> None:
    server.add("j1")
    line = f'exec "{sys.executable}" -m assay {command} {closed}'
    environment = {**os.environ, "ASSAY_SERVER": server.url}
    done = subprocess.run(["sh", "-c", line], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == code
    assert "defect" not in done.stderr
