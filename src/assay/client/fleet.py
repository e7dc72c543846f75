"""The workers of a server, as their operators see and direct them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from assay.client.errors import ServerError
from assay.client.http import Http

Document = dict[str, Any]

_WORKERS = "/api/v1/workers"


class Fleet:
    """Lists, shows, directs and forgets workers. All methods raise ClientError (see `assay.client.errors`)."""

    def __init__(self, http: Http) -> None:
        self.http = http

    def list(self) -> list[Document]:
        """Return all workers, by name."""
        found = self.http.request("GET", _WORKERS).json()
        if not isinstance(found, dict) or not isinstance(found.get("items"), list):
            raise ServerError(200, "unexpected_answer", "What answers there is not an Assay server: a list was expected.")
        items: list[Document] = found["items"]
        return items

    def show(self, name: str) -> Document:
        """Return a worker and the runs of this tenant that it holds."""
        return self._worker("GET", name)

    def direct(self, name: str, verb: str) -> Document:
        """Tell a worker to `drain`, `pause` or `resume`; return it as it is then."""
        return self._worker("POST", name, f"/{verb}")

    def forget(self, name: str) -> None:
        """Have the server forget a worker that has ended or fallen silent."""
        self.http.request("DELETE", f"{_WORKERS}/{quote(name, safe='')}")

    def _worker(self, method: str, name: str, verb: str = "") -> Document:
        found = self.http.request(method, f"{_WORKERS}/{quote(name, safe='')}{verb}").json()
        if not isinstance(found, dict):
            raise ServerError(200, "unexpected_answer", "What answers there is not an Assay server: an object was expected.")
        return found
