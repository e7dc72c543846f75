"""A server that asks for keys, and the keys that tests need."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.server import catalogue
from tests.server.acting import KEY
from tests.server.client import Api, unique
from tests.server.serving import Served, serving

KEYS = "/api/v1/keys"
ROLES = """
roles:
  everything: ["*", "runs:report"]
  nothing: []
  hybrid: [jobs:read, workers:work]
  reporter: [runs:report]
"""


@dataclass
class Keyed:
    """A running server and its first key."""

    served: Served
    root: str = field(repr=False)

    @property
    def api(self) -> Api:
        """A client without a key."""
        return self.served.api

    @property
    def admin(self) -> Api:
        """A client with the first key, of all tenants."""
        return self.api.as_(authorization=f"Bearer {self.root}")

    def make(self, *roles: str, tenant: str = "*", **members: Any) -> dict[str, Any]:
        """Make a key; return the answer."""
        reply = self.admin.post(KEYS, {"name": unique("key"), "roles": list(roles), "tenant": tenant} | members)
        assert reply.status == 201, reply.text
        return dict(reply.json)

    def as_(self, *roles: str, tenant: str = "*", **members: Any) -> Api:
        """Return a client with a new key."""
        return self.api.as_(authorization=f"Bearer {self.make(*roles, tenant=tenant, **members)['key']}")


def first_key(data: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    """Make a key with the command line, without a server; return what it prints."""
    command = [sys.executable, "-m", "assay", "keys", "create", "root", "--role", "admin", "--all-tenants", "--json"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
    made = subprocess.run(
        [*command, "--offline", "--data", str(data), *arguments],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return dict(json.loads(made.stdout))


@contextlib.contextmanager
def keyed_server(folder: Path, *flags: str, worker: bool = False, **settings: str) -> Iterator[Keyed]:
    """Run a server with a provider `manual` and its first key until the end of the block."""
    roles = folder / "roles.yaml"
    roles.write_text(ROLES)
    written = catalogue.write(folder / "catalogue", catalogue.provider("manual", "true"))
    environment = {
        "ASSAY_WORKER_KEY": KEY,
        "ASSAY_LEASE_SECONDS": "600",
        "ASSAY_ROLES_FILE": str(roles),
        **settings,
    }
    database = {name: value for name, value in settings.items() if name == "ASSAY_DATABASE"}
    root = first_key(folder / "data", **database)["key"]
    with serving(folder, "--catalog", str(written), *flags, worker=worker, **environment) as served:
        yield Keyed(served, root)
