"""Webhooks and deliveries on the wire. Members that are empty are left out."""

from __future__ import annotations

from typing import Any

import msgspec

from assay.model.notices import Notice
from assay.scheduler.identifiers import rfc3339
from assay.store.base import Row
from assay.store.resources import Resource

_notice = msgspec.json.Decoder(Notice)


def webhook_document(webhook: Resource) -> dict[str, Any]:
    """Return the document of a webhook."""
    resource = {"id": webhook.id}
    if webhook.tenant:
        resource["tenant"] = webhook.tenant
    resource |= {"created_at": rfc3339(webhook.created_at), "updated_at": rfc3339(webhook.updated_at)}
    if webhook.owner:
        resource["owner"] = webhook.owner
    return {"resource": resource, **webhook.body, "paused": bool(webhook.body.get("paused"))}


def delivery_document(row: Row) -> dict[str, Any]:
    """Return the document of a parcel of the outbox: what is told, and how far it has come.

    `next_attempt_at` is missing while an earlier notice of the same job has not left.
    """
    notice = _notice.decode(row["content"])
    document: dict[str, Any] = {
        "number": row["number"],
        "id": notice.id,
        "type": notice.type,
        "state": row["outcome"] or "pending",
        "attempts": row["attempts"],
        "created_at": rfc3339(row["created_at"]),
    }
    if row["job_id"]:
        document["job_id"] = row["job_id"]
    if row["status"]:
        document["status"] = row["status"]
    if row["message"]:
        document["message"] = row["message"]
    if row["ended_at"] is not None:
        document["ended_at"] = rfc3339(row["ended_at"])
    elif row["due_at"] is not None:
        document["next_attempt_at"] = rfc3339(row["due_at"])
    return document
