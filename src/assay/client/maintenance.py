"""What operators ask a server for: how much room things take, and a clean-up."""

from __future__ import annotations

from typing import Any

from assay.client.http import Http


class Maintenance:
    """The operators' side of a server. All methods raise ClientError (see `assay.client.errors`)."""

    def __init__(self, http: Http) -> None:
        self.http = http

    def usage(self) -> dict[str, Any]:
        """Return the bytes of the database, the artifacts (`blobs`) and the logs, and those free on the disk."""
        return dict(self.http.request("GET", "/api/v1/usage").json())

    def cleanup(self, *, dry_run: bool = False) -> dict[str, Any]:
        """Have the server delete what its settings do not ask to keep; return what goes. `dry_run`: only return it."""
        query = {"dry_run": "true" if dry_run else None}
        return dict(self.http.request("POST", "/api/v1/cleanup", query=query).json())
