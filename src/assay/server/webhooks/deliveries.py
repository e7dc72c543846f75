"""What became of what a webhook was sent, and a notice to try it out."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from assay.model.errors import WebhookPaused
from assay.model.notices import trial
from assay.scheduler.identifiers import new_id, now
from assay.server.evalhub.queries import Parameters
from assay.server.permissions import require_owner
from assay.server.respond import json_response
from assay.server.services import services
from assay.server.webhooks.rendering import delivery_document
from assay.server.webhooks.resources import webhook_of
from assay.store.notices import WEBHOOK, TryWebhook
from assay.store.outbox import ParcelsOfTarget

_MOST = 500


async def page(request: Request) -> Response:
    """Answer with the last deliveries of a webhook, newest first; `before` and `next` lead back."""
    at, parameters = services(request), Parameters(request)
    before, limit = parameters.count("before", 0), min(parameters.count("limit", 50, least=1), _MOST)
    parameters.only_known(("before", "limit"))
    webhook = await webhook_of(request)
    rows = await at.store.scan(ParcelsOfTarget(webhook.id, limit + 1, before))
    answer: dict[str, object] = {"items": [delivery_document(row) for row in rows[:limit]]}
    if len(rows) > limit:
        answer["next"] = {"href": f"{request.url.path}?before={rows[limit - 1]['number']}&limit={limit}"}
    return json_response(answer)


async def test(request: Request) -> Response:
    """Put a notice into the outbox that only says that it has arrived. It is tried once."""
    at, webhook = services(request), await webhook_of(request)
    require_owner(request, WEBHOOK, webhook.id, webhook.owner)
    if webhook.body.get("paused"):
        raise WebhookPaused(id=webhook.id)
    notice = trial(webhook.id, new_id(), now())
    return json_response(delivery_document(await at.store.apply(TryWebhook(webhook.id, notice, now()))), 202)
