"""Webhooks: create, list, read, change, delete. Each tenant sees its own."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from assay.model import shapes
from assay.model.errors import WebhookRefused
from assay.model.notices import WEBHOOK as SHAPE
from assay.notify.outward import AddressRefused, NotResolved
from assay.notify.signing import SecretUnusable, keys_of
from assay.scheduler.identifiers import new_id, now
from assay.server.body import read_json
from assay.server.evalhub.paging import Window, kept_page, page_of
from assay.server.evalhub.queries import Parameters
from assay.server.evalhub.unknown import both, read_warned, warning_of
from assay.server.permissions import author, require_owner
from assay.server.respond import dump, json_response, no_content
from assay.server.services import Services, caller, services
from assay.server.webhooks.rendering import webhook_document
from assay.store.notices import WEBHOOK, DeleteWebhook
from assay.store.resources import ChangeResource, CreateResource, Resource, ResourceById, ResourcesOfTenant


async def create(request: Request) -> Response:
    """Make a webhook, once it is known that it leads outwards and that its secret can sign."""
    at, who = services(request), author(request)
    limit = at.settings.max_body_bytes
    body, warning = await read_json(request, limit, lambda given: read_warned(SHAPE, "Webhook", given))
    headers = both(warning, await _checked(at, body))
    operation = CreateResource(WEBHOOK, new_id(), who.tenant, who.user, body, now(), at.settings.max_webhooks)
    return json_response(webhook_document(await at.store.apply(operation)), 201, headers)


async def page(request: Request) -> Response:
    """Answer with the tenant's webhooks, newest first."""
    at, tenant = services(request), caller(request).tenant

    async def make(parameters: Parameters) -> bytes:
        window = Window.of(parameters, at.settings.max_page_items)
        parameters.only_known(("limit", "offset"))
        found = await at.store.scan(ResourcesOfTenant(WEBHOOK, tenant))
        items = (dump(webhook_document(webhook)) for webhook in window.of_list(found))
        return page_of(parameters, window, len(found), items)

    return await kept_page(request, make)


async def get(request: Request) -> Response:
    """Answer with one webhook."""
    return json_response(webhook_document(await webhook_of(request)))


async def change(request: Request) -> Response:
    """Change members of a webhook: those that the body has replace the old ones, null takes them away."""
    at = services(request)
    known = await webhook_of(request)
    require_owner(request, WEBHOOK, known.id, known.owner)

    def read(given: Any) -> tuple[Any, dict[str, Any], dict[str, str]]:
        return given, _merged(known.body, given), warning_of(SHAPE, given)

    given, body, headers = await read_json(request, at.settings.max_body_bytes, read)
    if {name: body.get(name) for name in _LEADING} != {name: known.body.get(name) for name in _LEADING}:
        headers = both(headers, await _checked(at, body))

    def unless_changed(before: Resource) -> dict[str, Any]:
        return body if before.version == known.version else _merged(before.body, given)

    operation = ChangeResource(WEBHOOK, known.id, known.tenant, unless_changed, now())
    return json_response(webhook_document(await at.store.apply(operation)), 200, headers)


async def delete(request: Request) -> Response:
    """Delete a webhook. What waits for it is dropped."""
    at, known = services(request), await webhook_of(request)
    require_owner(request, WEBHOOK, known.id, known.owner)
    await at.store.apply(DeleteWebhook(known.id))
    return no_content()


async def webhook_of(request: Request) -> Resource:
    """Return the webhook that the path names. Raises NotFound."""
    operation = ResourceById(WEBHOOK, request.path_params["webhook_id"], caller(request).tenant)
    return await services(request).store.lookup(operation)


_LEADING = ("url", "secret_ref")
"""Members that say where notices go and who signs them: each is checked, by itself, before it changes."""


def _merged(known: dict[str, Any], body: Any) -> dict[str, Any]:
    """Return a body with the members of another over it (RFC 7386). Raises InvalidJson, ValidationFailed."""
    if not isinstance(body, dict):
        return shapes.read(SHAPE, "Webhook", body)
    given = {member.name: value for name, value in body.items() if (member := SHAPE.index.get(str(name).lower()))}
    return shapes.read(SHAPE, "Webhook", {**known, **given})


async def _checked(at: Services, body: dict[str, Any]) -> dict[str, str]:
    """Return a warning for a host that does not resolve. Raises WebhookRefused."""
    warning = {}
    try:
        await at.outward.check_url(body["url"])
    except AddressRefused as error:
        raise WebhookRefused(field="url", problem=str(error)) from None
    except NotResolved:
        warning["Warning"] = '299 assay "the host of url does not resolve at present"'
    if name := body.get("secret_ref"):
        try:
            keys_of(name, at.settings.secrets_dir)
        except SecretUnusable as error:
            raise WebhookRefused(field="secret_ref", problem=str(error)) from None
    return warning
