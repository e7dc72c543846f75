"""A key, its secret and its digest are nowhere: not in logs, errors, metrics, files, environments or command lines."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from assay.telemetry.redaction import Redactor
from tests.evalhub.live import until
from tests.server.access.keyed import KEYS, Keyed, keyed_server
from tests.server.client import JOBS, PATIENCE_S, PROVIDERS, job_body


def forms(key: str) -> list[bytes]:
    """Return what must not be seen of a key: itself, its secret, and what is stored in its place."""
    digest = hashlib.sha256(key.encode()).digest()
    texts = [key.rpartition("_")[2], digest.hex(), base64.b64encode(digest).decode(), repr(digest)[2:-1]]
    return [text.encode() for text in texts]


def seen(data: bytes, *keys: str) -> list[bytes]:
    return [form for key in keys for form in forms(key) if form in data]


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def descendants(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += descendants(int(child))
    return found


def test_keys_are_nowhere_at_the_server(tmp_path: Path) -> None:
    with keyed_server(tmp_path, worker=True, ASSAY_LOG_LEVEL="debug", ASSAY_BAN_AFTER="2", ASSAY_API_KEY="x" * 83) as keyed:
        made, revoked = keyed.make("user", tenant="a"), keyed.make("viewer")
        keyed.admin.delete(f"{KEYS}/{revoked['id']}")
        wrong = made["key"][:-4] + "ffff"
        answered = b""
        for key in (keyed.root, made["key"], revoked["key"], wrong):
            api = keyed.api.as_(authorization=f"Bearer {key}")
            for reply in (
                api.get(JOBS),
                api.get(JOBS, x_tenant="b"),
                api.post(JOBS, job_body()),
                api.post(JOBS, b"{"),
                api.post(KEYS, {"name": 1}),
                api.get(f"{KEYS}/{made['id']}"),
                api.get("/nope"),
                api.get("/metrics"),
                api.call("TRACE", JOBS),
            ):
                answered += reply.body + repr(reply.headers).encode()
        keys = (keyed.root, made["key"], revoked["key"], wrong)
        assert not seen(answered, *keys)
        assert not seen(keyed.admin.get("/metrics").body + keyed.admin.get(KEYS).body, *keys)
        pids = descendants(keyed.served.process.pid)
        assert len(pids) > 1
        for pid in pids:
            assert not seen(command_line(pid), *keys)
        for pid in pids[1:]:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            assert not seen(environment, *keys)
            assert b"ASSAY_API_KEY" not in environment
    assert not seen(keyed.served.log.read_bytes(), *keys)
    secrets = [key.rpartition("_")[2].encode() for key in keys]
    for path in keyed.served.data.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret in content], path


def test_a_key_in_the_output_of_an_evaluation_is_masked(keyed: Keyed) -> None:
    key = keyed.make("viewer")["key"]
    assert (
        Redactor().text(f"using {key}, and assay_http_requests_total") == "using [redacted], and assay_http_requests_total"
    )
    assert not seen(Redactor().text(f"x={key};y='{key}'").encode(), key)


@pytest.mark.parametrize("how", ["--key", "--key=", "--key-file"])
def test_a_key_is_not_on_the_command_line_of_a_client_for_long(keyed: Keyed, tmp_path: Path, how: str) -> None:
    key = keyed.make("viewer")["key"]
    file = tmp_path / "key"
    file.write_text(key)
    file.chmod(0o600)
    given = {"--key": ["--key", key], "--key=": [f"--key={key}"], "--key-file": ["--key-file", str(file)]}[how]
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it never answers, so the client waits
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "assay", "keys", "list", "--server", url, *given]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
            try:
                silent.settimeout(PATIENCE_S)
                connection, _ = silent.accept()
                sent = b""
                while b"\r\n\r\n" not in sent:
                    sent += connection.recv(65536)
                assert f"Bearer {key}".encode() in sent
                shown = command_line(client.pid)
                assert b"keys\0list\0--server" in shown
                assert not seen(shown, key)
                connection.close()
            finally:
                client.kill()


def test_a_worker_takes_its_key_from_a_file_and_ends_when_it_is_revoked(tmp_path: Path) -> None:
    with keyed_server(tmp_path) as keyed:
        made = keyed.make("worker")
        file = tmp_path / "worker.key"
        file.write_text(made["key"] + "\n")
        file.chmod(0o600)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
        flags = ["--server", keyed.api.url, "--key-file", str(file), "--name", "far", "--data", str(tmp_path / "far")]
        with subprocess.Popen(
            [sys.executable, "-m", "assay", "worker", *flags], env=inherited, stderr=subprocess.PIPE, text=True
        ) as worker:
            try:
                ann = keyed.as_("user", tenant="a")
                job_id = ann.submit()
                ended = until(lambda: ann.job(job_id)["status"]["state"] not in ("pending", "running"), "the end of the job")
                assert ended
                for pid in descendants(worker.pid):
                    assert not seen(command_line(pid), made["key"])
                assert keyed.admin.delete(f"{KEYS}/{made['id']}").status == 204
                assert worker.wait(PATIENCE_S) == 2
                assert worker.stderr is not None
                said = worker.stderr.read()
                assert f"does not take this worker: The API key {made['id']} does not count here: it was revoked" in said
                assert not seen(said.encode(), made["key"])
            finally:
                worker.kill()


def test_the_command_line_makes_lists_and_revokes_keys(keyed: Keyed, tmp_path: Path) -> None:
    root = tmp_path / "root.key"
    root.write_text(keyed.root)
    root.chmod(0o600)
    environment = {"PATH": os.environ["PATH"], "ASSAY_SERVER": keyed.api.url, "ASSAY_API_KEY_FILE": str(root)}

    def assay(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "assay", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    out = tmp_path / "ann.key"
    made = assay("keys", "create", "ann", "--role", "user", "--tenant", "a", "--expires-in", "90d", "--out", str(out))
    assert (made.returncode, made.stdout) == (0, "")
    key = out.read_text().strip()
    assert out.stat().st_mode & 0o777 == 0o600
    assert keyed.api.get(PROVIDERS, authorization=f"Bearer {key}").status == 200
    assert not seen(made.stderr.encode(), key)
    again = assay("keys", "create", "ann", "--role", "user", "--out", str(out))
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    listed = assay("keys", "list")
    (line,) = [line for line in listed.stdout.splitlines() if key[6:18] in line]
    assert line.split()[1:6] == ["ann", "a", "ann", "user", "active"]
    shown = assay("keys", "create", "bob", "--role", "viewer", "--tenant", "a")
    assert shown.stdout.strip().startswith("assay_")
    assert assay("keys", "revoke", key[6:18]).returncode == 0
    assert keyed.api.get(PROVIDERS, authorization=f"Bearer {key}").status == 401
    refused = assay("keys", "create", "x", "--role", "usr")
    assert (refused.returncode, "'usr' is no role here" in refused.stderr) == (2, True)
    root.chmod(0o644)
    assert "others on this machine can read" in assay("keys", "list").stderr
