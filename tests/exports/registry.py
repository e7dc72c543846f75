"""A real registry (Debian's `docker-registry`), and what tests ask it directly."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.exports.mlflow_server import cache

USER, PASSWORD = "assay", "let-me-in"
_HASHED = f"{USER}:$2b$05$abcdefghijklmnopqrstuu3Jd./u/rH1RxB6auX5v7gLP6uWhKCgG\n"
_START_S = 60.0


def installed() -> str:
    """Return the registry's program: the machine's own, else unpacked from Debian's package, which needs no root."""
    if found := shutil.which("docker-registry"):
        return found
    home = cache() / "docker-registry"
    home.mkdir(parents=True, exist_ok=True)
    program = home / "usr" / "bin" / "docker-registry"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            subprocess.run(["apt-get", "download", "-q", "docker-registry"], check=True, cwd=home)
            (package,) = home.glob("docker-registry_*.deb")
            subprocess.run(["dpkg-deb", "-x", str(package), str(home)], check=True)
    return str(program)


@dataclass(frozen=True)
class RegistryUnderTest:
    """A running registry, asked without Assay."""

    host: str

    def get(self, path: str, accept: str = "*/*") -> bytes:
        """Return what the registry answers to a GET below `/v2/`."""
        key = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {key}", "Accept": accept}
        with urllib.request.urlopen(
            urllib.request.Request(f"http://{self.host}/v2/{path}", headers=headers), timeout=30
        ) as answer:
            return bytes(answer.read())

    def manifest(self, repository: str, reference: str) -> dict[str, Any]:
        """Return a manifest by tag or digest."""
        found = self.get(f"{repository}/manifests/{reference}", "application/vnd.oci.image.manifest.v1+json")
        return dict(json.loads(found))

    def blob(self, repository: str, digest: str) -> Any:
        """Return the JSON in a blob."""
        return json.loads(self.get(f"{repository}/blobs/{digest}"))


@contextlib.contextmanager
def registry(folder: Path, *, guarded: bool = True) -> Iterator[RegistryUnderTest]:
    """Run a registry with all its data in `folder` until the end of the block; a `guarded` one wants user and password."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(_HASHED)
    configuration: dict[str, Any] = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
    }
    if guarded:
        configuration["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(configuration))  # YAML reads JSON
    log = folder / "registry.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [installed(), "serve", str(folder / "config.yml")],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        deadline = time.monotonic() + _START_S
        while not _answers(address):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, "the registry does not answer"
            time.sleep(0.02)
        yield RegistryUnderTest(address)
    finally:
        process.kill()
        process.wait()


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{address}/v2/", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
