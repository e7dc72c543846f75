"""Webhooks of a tenant, as a server offers them under `/api/v1/webhooks`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from assay.client.errors import TimedOut
from assay.client.evaluations import Document, Documents, list_of, object_of
from assay.client.http import Http

_WEBHOOKS = "/api/v1/webhooks"
_POLL_S = 0.2


class Webhooks:
    """Everything a user does with webhooks. All methods raise ClientError (see `assay.client.errors`)."""

    def __init__(self, http: Http) -> None:
        self.http = http

    def list(self) -> Documents:
        """Return all webhooks, newest first."""
        items: Documents = list_of(self.http.request("GET", _WEBHOOKS, query={"limit": 0}).json())["items"]
        return items

    def create(self, webhook: Mapping[str, Any]) -> Document:
        """Make a webhook: `url`, and perhaps `events`, `names`, `tags`, `secret_ref`, `description`."""
        return object_of(self.http.request("POST", _WEBHOOKS, json=dict(webhook)).json())

    def change(self, webhook_id: str, members: Mapping[str, Any]) -> Document:
        """Replace members of a webhook, such as `paused`; None takes one away."""
        return object_of(self.http.request("PATCH", _webhook(webhook_id), json=dict(members)).json())

    def delete(self, webhook_id: str) -> None:
        """Delete a webhook, and what waits for it."""
        self.http.request("DELETE", _webhook(webhook_id))

    def deliveries(self, webhook_id: str, limit: int = 50) -> Documents:
        """Return the last deliveries, newest first: `type`, `state`, `attempts`, and what came of them."""
        found = self.http.request("GET", f"{_webhook(webhook_id)}/deliveries", query={"limit": limit})
        items: Documents = list_of(found.json())["items"]
        return items

    def test(self, webhook_id: str, timeout_s: float = 60.0) -> Document:
        """Send a notice to try a webhook out; return its delivery once it has ended. Raises TimedOut."""
        sent = object_of(self.http.request("POST", f"{_webhook(webhook_id)}/test").json())
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for one in self.deliveries(webhook_id):
                if one["id"] == sent["id"] and one["state"] != "pending":
                    return one
            time.sleep(_POLL_S)
        raise TimedOut(self.http.base_url, timeout_s)


def _webhook(webhook_id: str) -> str:
    return f"{_WEBHOOKS}/{quote(webhook_id, safe='')}"
