"""API keys, as those who manage them see them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from assay.client.http import Http

_KEYS = "/api/v1/keys"


class Keys:
    """The keys of a server. Raises ServerError, Unreachable and TimedOut."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make a key; its text is the member `key` of what comes back, and cannot be had again."""
        return dict(self._http.request("POST", _KEYS, json=request).json())

    def list(self) -> list[dict[str, Any]]:
        """Return all keys that the caller may manage, newest first, without their texts."""
        found: list[dict[str, Any]] = []
        while True:
            page = self._http.request("GET", _KEYS, query={"limit": 500, "offset": len(found)}).json()
            found += page["items"]
            if not page["items"] or len(found) >= page["total_count"]:
                return found

    def revoke(self, key_id: str) -> None:
        """Let a key count no more."""
        self._http.request("DELETE", f"{_KEYS}/{quote(key_id, safe='')}")
